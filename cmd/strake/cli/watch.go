package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/follow"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/watch"
	"strake.dev/strake/stages"
)

// watchFlags let a command go on after its run.
type watchFlags struct {
	watch    bool
	interval time.Duration
	logs     bool
	forwards []string
}

// stays tells whether the command goes on after its first run.
func (f *watchFlags) stays() bool { return f.watch || f.logs || len(f.forwards) > 0 }

// ports are those to forward.
func (f *watchFlags) ports(cmd *cobra.Command) ([]follow.Port, error) {
	var ports []follow.Port
	for _, text := range f.forwards {
		p, err := follow.ParsePort(text)
		if err != nil {
			return nil, &usageError{err: fmt.Errorf("--port-forward %w", err), line: cmd.UseLine()}
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// defaultInterval is how often references are asked for.
const defaultInterval = 30 * time.Second

func (f *watchFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.watch, "watch", "w", false, "run again whenever something changes, until interrupted")
	fromEnv(flags, "watch", "STRAKE_WATCH")
	flags.DurationVar(&f.interval, "watch-interval", defaultInterval, "with --watch, ask for branches, tags and versions every `DURATION`; 0 is never")
	fromEnv(flags, "watch-interval", "STRAKE_WATCH_INTERVAL")
	flags.BoolVar(&f.logs, "logs", false, "show what the app's pods log, until interrupted")
	flags.StringArrayVar(&f.forwards, "port-forward", nil, "forward a port of this machine to a ready pod of the app, until interrupted: [KIND/]NAME:[LOCAL:]`PORT`, such as service/web:8080:80 (repeatable)")
}

func (f *watchFlags) check(cmd *cobra.Command, o *runOptions) error {
	switch {
	case f.interval < 0:
		return usagef(cmd, "--watch-interval %s: expected a duration of 0 or more", f.interval)
	case !f.stays():
		return nil
	case !f.watch && o.format.value != formatApp:
		return nil
	case o.file.value == stdinFile:
		return usagef(cmd, "--watch needs a file that can be read again, and standard input can't")
	case o.format.value == formatApp:
		return usagef(cmd, "--output app is for one run and nothing after it; expected text or json")
	}
	return nil
}

// A supersededError is the cause of a context whose run works with what is no longer there.
type supersededError struct{ paths []string }

func (e *supersededError) Error() string { return listed(e.paths) + " changed" }

// listed names a few of many.
func listed(names []string) string {
	const shown = 3
	text := strings.Join(names[:min(shown, len(names))], ", ")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return render.Line(text)
}

// A vigil is a command that runs again and again.
type vigil struct {
	t   *tool
	cmd *cobra.Command
	o   *runOptions
	out *lasting

	files *watch.Watcher
	// attendant is nil if there is nothing to show or to forward.
	attendant *attendant
	// session is the last that could be opened, and whose are the steps that depend on paths. Both belong
	// to the run while there is one.
	session    *session
	whose      map[string][]string
	references []string
	// lockText is what the lock file held after the last run.
	lockText []byte
	// unfit is why the file can't be run for this.
	unfit error
	// warned is what was last said of references that can't be asked.
	warned string
}

// runAndWatch runs, and runs again whenever something has changed. It ends with the context.
func (t *tool) runAndWatch(cmd *cobra.Command, o *runOptions) error {
	v := &vigil{t: t, cmd: cmd, o: o, out: t.last(&o.outputFlags)}
	v.files = watch.New(watch.Options{Warn: v.warn})
	defer func() { _ = v.files.Close() }() // it is the end of the process
	defer v.out.Close()
	ctx := cmd.Context()
	if ports, err := o.ports(cmd); err != nil {
		return err
	} else if o.logs || len(ports) > 0 {
		if v.attendant, err = v.attend(ctx, ports); err != nil {
			return err
		}
		defer v.attendant.close()
	}
	v.expect(nil)
	for {
		err := v.run(ctx)
		if ctx.Err() != nil {
			return v.stopped(ctx, err)
		}
		if superseded, ok := errors.AsType[*supersededError](err); ok {
			v.tell(report.Watch{State: report.WatchChanged, Paths: superseded.paths}, "")
			continue
		}
		if v.unfit != nil || err != nil && !o.watch {
			return err
		}
		t.printError(err)
		if v.warned = ""; err != nil {
			v.warned = err.Error()
		}
		if err := v.wait(ctx); err != nil {
			return v.stopped(ctx, err)
		}
	}
}

// last returns the output of a command with several runs.
func (t *tool) last(o *outputFlags) *lasting {
	o.lasting = &lasting{plain: t.harmless(t.err)}
	if o.format.value == formatJSON {
		o.lasting.json = render.NewJSON(t.out)
	}
	return o.lasting
}

// stopped tells that the end of the context has ended it, and returns the error for that.
func (v *vigil) stopped(ctx context.Context, err error) error {
	v.tell(report.Watch{State: report.WatchStopped}, "")
	if err == nil {
		return context.Cause(ctx)
	}
	return err
}

func (v *vigil) tell(w report.Watch, text string) {
	if v.out.json != nil || text != "" {
		v.out.tell(report.Line{Event: stages.Event{Type: report.Watching}, Watch: &w}, "", text)
	}
}

// warn tells of what makes watching worse.
func (v *vigil) warn(err error) {
	text := render.Line(err.Error())
	v.out.tell(report.Line{Event: stages.Event{Type: stages.Warning, Message: text}}, "", "warning: "+text)
}

// run runs once. An edit of what the run has read ends it with a [*supersededError].
func (v *vigil) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &pace{cancel: cancel}
	done := make(chan error, 1)
	go func() {
		done <- v.t.conclude(ctx, "run", &v.o.outputFlags, func(events *render.JSON) (printable, error) {
			return v.t.runOnce(ctx, v.cmd, v.o, events, func(s *session) error {
				if err := s.single(); err != nil {
					if len(s.units) > 1 {
						v.unfit = err // no edit is to make one run of it
					}
					return err
				}
				v.expect(s)
				s.also = p
				if v.attendant != nil {
					v.attendant.begin(s)
					s.also = both{p, v.attendant}
				}
				s.secret = func(value string) { v.t.secrets.Add([]byte(value)) }
				p.begin(v.whose, v.lockFile())
				return nil
			})
		})
	}()
	for {
		select {
		case err := <-done:
			v.lockText = v.readLock()
			return p.conclude(err)
		case paths := <-v.files.Changes():
			p.changed(v.shown(paths))
		}
	}
}

// expect watches what a session depends on; nil is one that isn't known yet. An App's file that is invalid
// leaves what is watched as it was.
func (v *vigil) expect(s *session) {
	name, err := v.o.name()
	if err != nil {
		name = defaultFile // it may come
	}
	whose := map[string][]string{v.absolute(name): nil}
	for _, file := range v.o.files {
		whose[v.absolute(file)] = nil
	}
	if s != nil {
		whose[v.absolute(s.units[0].File)] = nil
		v.session, v.references = s, nil
		watched, err := s.plan.Watches(s.opts)
		if err != nil {
			return // the run says why
		}
		for _, w := range watched {
			for _, p := range w.Paths {
				whose[p] = append(whose[p], w.Step)
			}
			v.references = append(v.references, w.References...)
		}
	}
	if v.whose = whose; !v.o.watch {
		return
	}
	paths := slices.Collect(maps.Keys(whose))
	if file := v.lockFile(); file != "" {
		paths = append(paths, file)
	}
	v.files.Set(paths, v.ours())
}

// ours are the files that runs write.
func (v *vigil) ours() []string {
	var files []string
	if v.session != nil {
		files = append(files, v.absolute(v.session.opts.Workspace))
		if v.session.records != "" {
			files = append(files, v.absolute(v.session.records))
		}
	}
	if cache := v.o.cache.folder(); cache != "" {
		files = append(files, v.absolute(cache))
	}
	for _, r := range v.o.reports {
		_, file, _ := strings.Cut(r, "=")
		files = append(files, v.absolute(file))
	}
	return files
}

func (v *vigil) absolute(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		return abs
	}
	return file
}

func (v *vigil) lockFile() string {
	if v.session == nil || v.session.opts.LockFile == "" {
		return ""
	}
	return v.absolute(v.session.opts.LockFile)
}

func (v *vigil) readLock() []byte {
	text, _ := os.ReadFile(v.lockFile()) // none is empty
	return text
}

// shown are paths as people have them, from the working directory.
func (v *vigil) shown(paths []string) map[string]string {
	shown := map[string]string{}
	dir, err := os.Getwd()
	for _, p := range paths {
		shown[p] = p
		if rel, relErr := filepath.Rel(dir, p); err == nil && relErr == nil && filepath.IsLocal(rel) {
			shown[p] = rel
		}
	}
	return shown
}

// wait waits for a change, and tells of it.
func (v *vigil) wait(ctx context.Context) error {
	v.out.show(v.t.display(&v.o.outputFlags, nil, nil))
	defer v.out.Close()
	if !v.o.watch {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	paths := slices.Sorted(maps.Keys(v.whose))
	v.tell(report.Watch{State: report.WatchWaiting, Paths: paths, References: v.references}, v.waitingFor(paths))
	var again <-chan time.Time
	if len(v.references) > 0 && v.o.interval > 0 {
		ticker := time.NewTicker(v.o.interval)
		defer ticker.Stop()
		again = ticker.C
	}
	ask, stop := context.WithCancel(ctx)
	asking := make(chan []string, 1)
	busy := false
	defer func() {
		stop()
		if busy {
			<-asking // it holds the workspace
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case paths := <-v.files.Changes():
			if paths = v.others(paths); len(paths) == 0 {
				continue
			}
			names := slices.Sorted(maps.Values(v.shown(paths)))
			v.tell(report.Watch{State: report.WatchChanged, Paths: names}, "changed: "+listed(names))
			return nil
		case <-again:
			if !busy {
				busy = true
				go func() { asking <- v.ask(ask) }()
			}
		case moved := <-asking:
			if busy = false; len(moved) > 0 {
				v.tell(report.Watch{State: report.WatchChanged, Steps: moved}, "moved: what "+listed(moved)+" refers to")
				return nil
			}
		}
	}
}

// others leaves out the lock file if it is as the last run has left it.
func (v *vigil) others(paths []string) []string {
	lock := v.lockFile()
	return slices.DeleteFunc(paths, func(p string) bool { return p == lock && bytes.Equal(v.readLock(), v.lockText) })
}

// ask asks what references lead to now, and returns the steps for which they have moved.
func (v *vigil) ask(ctx context.Context) []string {
	moved, err := v.session.plan.Moved(ctx, v.session.opts)
	if err != nil && ctx.Err() == nil && err.Error() != v.warned {
		v.warned = err.Error()
		v.warn(err)
	}
	return moved
}

// waitingFor says what is waited for.
func (v *vigil) waitingFor(paths []string) string {
	folders := 0
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			folders++
		}
	}
	text := "watching " + counted(folders, "folder") + " and " + counted(len(paths)-folders, "file")
	if len(v.references) > 0 && v.o.interval > 0 {
		text += fmt.Sprintf("; asking every %s for %s", v.o.interval, listed(v.references))
	}
	return text
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// both pass events on to two.
type both [2]stages.Observer

func (b both) Observe(e stages.Event) {
	for _, o := range b {
		o.Observe(e)
	}
}
