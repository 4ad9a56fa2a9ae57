package vendir

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/plugins/vendir/sync"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// wholeKey is the key of an entry that names a vendir configuration.
const wholeKey = "vendir"

// Config is one entry of an App's fetch stage: one source, or all that a vendir configuration lists.
type Config struct {
	source.Config `json:",inline"`
	// Vendir takes all contents that a vendir configuration lists, below the paths that it gives them.
	Vendir *File `json:"vendir,omitempty"`
}

// File is a vendir configuration.
type File struct {
	// Path is the file, such as vendir.yml, relative to the folder of the App's file. Its own paths count from
	// the folder that it is in.
	Path string `json:"path" required:"true"`
}

// Validate checks that there is exactly one source or file.
func (c *Config) Validate(n *schema.Node) error {
	if n.Get(wholeKey) == nil {
		return c.Config.Validate(n)
	}
	for _, p := range n.Pairs() {
		if p.Key != wholeKey && p.Key != "path" {
			return n.Errorf("has %s beside vendir: expected one source, or path and vendir alone", p.Key)
		}
	}
	if n.Get(wholeKey).IsNull() {
		return n.Get(wholeKey).Errorf("is empty: expected path")
	}
	if c.Path == "" {
		return nil
	}
	if _, err := stages.Clean(c.Path); err != nil {
		return n.Get("path").Errorf("expected a relative path that leads to no other place by “..”, found %q", c.Path)
	}
	return nil
}

// whole is the step of an entry that names a vendir configuration.
type whole struct {
	folder string
	file   string
	syncer *sync.Syncer
}

var (
	_ stages.Placer  = (*whole)(nil)
	_ stages.Checker = (*whole)(nil)
	_ stages.Keyer   = (*whole)(nil)
	_ stages.Watcher = (*whole)(nil)
)

// Folder is where in the App's folder the configuration's folders go.
func (w *whole) Folder() string { return w.folder }

// parts reads the configuration.
func (w *whole) parts(job *stages.Job) ([]sync.Part, error) {
	file := w.path(job)
	if _, err := os.Stat(file); err != nil {
		return nil, stages.WithHint(fmt.Errorf("vendir.path: %w", err), "paths count from the folder of the App's file, %s", job.Dir)
	}
	conf, secrets, configMaps, err := vendirconf.NewConfigFromFiles([]string{file})
	if err != nil {
		return nil, fmt.Errorf("vendir.path: %w", err)
	}
	own := *job
	own.Objects = sync.Objects(secrets, configMaps, job.Objects)
	for _, s := range secrets {
		for _, value := range s.Data {
			job.Hide(value)
		}
	}
	return w.syncer.Parts(conf, &own, filepath.Dir(file))
}

func (w *whole) path(job *stages.Job) string {
	if filepath.IsAbs(w.file) {
		return filepath.Clean(w.file)
	}
	return filepath.Join(job.Dir, filepath.FromSlash(w.file))
}

// Check finds mistakes of the configuration, and what its sources lack.
func (w *whole) Check(ctx context.Context, job *stages.Job) error {
	parts, err := w.parts(job)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Key names what all sources hold now.
func (w *whole) Key(ctx context.Context, job *stages.Job) (string, error) {
	parts, err := w.parts(job)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(w.path(job))
	if err != nil {
		return "", err
	}
	keys := []string{fmt.Sprintf("vendir %x", sha256.Sum256(text))}
	for _, p := range parts {
		key, err := p.Key(ctx)
		if key == "" || err != nil {
			return "", err
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, "\n"), nil
}

// Watches tells what the configuration's file and its sources depend on; while the file is invalid, that is
// only the file.
func (w *whole) Watches(job *stages.Job) (stages.Watched, error) {
	file, err := filepath.Abs(w.path(job))
	watched := stages.Watched{Paths: []string{file}}
	if err != nil {
		return watched, err
	}
	parts, err := w.parts(job)
	if err != nil {
		return watched, nil //nolint:nilerr // the run says what is wrong with it
	}
	for _, p := range parts {
		more, err := p.Watches()
		if err != nil {
			return watched, err
		}
		watched.Add(more)
	}
	return watched, nil
}

// Run fetches all contents into job.Out.
func (w *whole) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	parts, err := w.parts(job)
	if err != nil {
		return stages.Result{}, err
	}
	all, err := sync.Fetch(ctx, parts, job.Out.Root(), job.Out.Dir())
	if err != nil {
		return stages.Result{}, err
	}
	if err := job.Out.CheckLinks(); err != nil {
		return stages.Result{}, stages.WithHint(err, "sources may only hold links to their own files")
	}
	return stages.Result{Sources: all.Sources, SourceDate: all.Date, Origin: all.Origin}, nil
}
