package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options say how changes are gathered. The zero value is meant for people who edit.
type Options struct {
	// Quiet is for how long nothing must change before changes are told, 75 ms if it is 0.
	Quiet time.Duration
	// Longest is how long changes are gathered at most while there are ever more, 500 ms if it is 0.
	Longest time.Duration
	// Look is how often files are looked at where the system can't tell of changes, 1 s if it is 0.
	Look time.Duration
	// Warn is told of what makes watching worse; nil is nobody.
	Warn func(error)
}

const (
	defaultQuiet   = 75 * time.Millisecond
	defaultLongest = 500 * time.Millisecond
	defaultLook    = time.Second
)

// A Watcher watches files and folders.
type Watcher struct {
	opts    Options
	changes chan []string
	end     context.CancelFunc
	ended   sync.WaitGroup

	mu sync.Mutex
	// system tells of changes; nil if it can't.
	system *fsnotify.Watcher
	// add is that of system; tests have it fail.
	add   func(dir string) error
	roots []*root
	// folders are those that the system watches, by their real paths.
	folders map[string]bool
	except  []string
	// seen is what the files looked like, where they are looked at.
	seen map[string]look
}

// New returns a Watcher of nothing yet. The caller must call Close.
func New(opts Options) *Watcher {
	for d, otherwise := range map[*time.Duration]time.Duration{
		&opts.Quiet: defaultQuiet, &opts.Longest: defaultLongest, &opts.Look: defaultLook,
	} {
		if *d == 0 {
			*d = otherwise
		}
	}
	if opts.Warn == nil {
		opts.Warn = func(error) {}
	}
	ctx, end := context.WithCancel(context.Background())
	w := &Watcher{opts: opts, changes: make(chan []string), end: end, folders: map[string]bool{}}
	events, errs := make(chan fsnotify.Event), make(chan error)
	system, err := fsnotify.NewWatcher()
	if err != nil {
		w.opts.Warn(w.worse(err))
	} else {
		w.system, w.add = system, system.Add
		events, errs = system.Events, system.Errors
	}
	w.ended.Go(func() { w.run(ctx, events, errs) })
	return w
}

// Changes gives the paths that have changed, sorted, in the form in which they are watched. Whatever changes
// while nobody receives is told later, at once.
func (w *Watcher) Changes() <-chan []string { return w.changes }

// Close ends the watching, and closes Changes.
func (w *Watcher) Close() error {
	w.end()
	w.ended.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.system == nil {
		return nil
	}
	return w.system.Close()
}

// run gathers changes and tells them.
func (w *Watcher) run(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error) {
	defer close(w.changes)
	var (
		changed  = map[string]bool{}
		first    time.Time
		due      = time.NewTimer(time.Hour)
		out      chan<- []string
		next     []string
		looking  = time.NewTicker(w.opts.Look)
		gathered = func(paths []string) {
			if len(paths) == 0 {
				return
			}
			if len(changed) == 0 {
				first = time.Now()
			}
			for _, p := range paths {
				changed[p] = true
			}
			due.Reset(min(w.opts.Quiet, max(0, w.opts.Longest-time.Since(first))))
			out = nil
		}
	)
	defer due.Stop()
	defer looking.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			gathered(w.take(e))
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			gathered(w.lost(err))
		case <-looking.C:
			gathered(w.compare())
		case <-due.C:
			next, out = slices.Sorted(maps.Keys(changed)), w.changes
		case out <- next:
			clear(changed)
			out = nil
		}
	}
}

// lost takes an error of the system: when it has dropped events, anything may have changed.
func (w *Watcher) lost(err error) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.opts.Warn(fmt.Errorf("watching files: %w", err))
		return nil
	}
	var all []string
	for _, r := range w.roots {
		w.attach(r)
		all = append(all, r.path)
	}
	return all
}

// worse explains why files are looked at instead.
func (w *Watcher) worse(err error) error {
	why := err.Error()
	switch {
	case errors.Is(err, syscall.ENOSPC):
		why = "the system's limit for watched folders is reached (fs.inotify.max_user_watches)"
	case errors.Is(err, syscall.EMFILE):
		why = "the system's limit for watching programs, or for open files, is reached (fs.inotify.max_user_instances)"
	}
	return fmt.Errorf("%s: files are looked at every %s instead, which takes longer", why, w.opts.Look)
}
