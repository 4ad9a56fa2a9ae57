// Package vendir is the fetch stage: it gets one source of an App, of any kind that kapp-controller's
// App or vendir has, or all that a vendir.yml lists, and says what each resolved to in the form of vendir's
// lock. What is fetched, and how, is the matter of package source; a vendir.yml that of package sync.
//
// Where an App's sources differ from what vendir leaves in a folder, on purpose:
//
//   - An archive entry or a link that leads out of the source, and a device, pipe, socket or setuid
//     file, is an error. vendir writes some of them and drops others quietly.
//   - The layers of an image lie one on top of the other. With vendir the lowest one wins.
//   - Executable bits and inner symbolic links are kept.
//   - No source leaves a .git behind: its content depends on when and how it was fetched, and a
//     program that runs git in the folder would take orders from it.
//   - git fetches one commit without history where the server allows it; so the tags of the lock are
//     those that sit on the commit itself, as with vendir's depth: 1.
//   - Of a branch and a tag with one name, origin/NAME means the branch.
//   - Under --locked a source that no longer fits its entry is a [stages.LockError].
package vendir

import (
	"context"
	"fmt"

	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/plugins/vendir/sync"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Plugin returns the plugin.
func Plugin(deps source.Deps) stages.Plugin {
	p := stages.Plugin{
		Stage:   stages.Fetch,
		Name:    "vendir",
		Doc:     "gets a source: inline content, an image, an imgpkg bundle, a file or archive over HTTP, a git commit, a Mercurial changeset, a GitHub release, a Helm chart, a local folder, or what a vendir.yml lists",
		Version: "3",
		Keys:    append(source.Kinds(), wholeKey),
		Whole:   true,
	}
	fetcher := source.NewFetcher(deps)
	syncer := sync.New(deps)
	return stages.Define(p, func(c Config) (stages.Step, error) {
		if c.Vendir != nil {
			return &whole{folder: c.Path, file: c.Vendir.Path, syncer: syncer}, nil
		}
		return &step{config: c.Config, fetcher: fetcher, source: fetcher.Source(c.Config)}, nil
	})
}

type step struct {
	config  source.Config
	fetcher *source.Fetcher
	source  source.Source
}

var (
	_ stages.Placer  = (*step)(nil)
	_ stages.Checker = (*step)(nil)
	_ stages.Keyer   = (*step)(nil)
	_ stages.Watcher = (*step)(nil)
)

// Folder is where in the App's folder the configuration wants the source.
func (s *step) Folder() string { return s.config.Path }

// Check finds missing tools, folders and secrets, and a lock that doesn't fit.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	if _, err := source.Locked(s.source, job); err != nil {
		return err
	}
	return s.source.Check(ctx, job)
}

// Key names what the source holds now; with an enforced lock no remote is asked.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	locked, err := source.Locked(s.source, job)
	if err != nil {
		return "", err
	}
	key, err := s.source.Key(ctx, job, locked)
	if err != nil || key == "" {
		return "", err
	}
	return s.source.Kind() + " " + key, nil
}

// Watches tells what the source depends on.
func (s *step) Watches(job *stages.Job) (stages.Watched, error) { return source.Watches(s.source, job) }

// Run fetches the source into job.Out.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	locked, err := source.Locked(s.source, job)
	if err != nil {
		return stages.Result{}, err
	}
	a, err := source.NewArea(job.Out.Root(), job.Out.Dir())
	if err != nil {
		return stages.Result{}, err
	}
	defer a.Close()
	resolved, err := s.source.Fetch(ctx, job, locked, a)
	if err != nil {
		return stages.Result{}, err
	}
	if err := a.Finish(ctx, s.config.Filter, s.config.Root(), ".", false); err != nil {
		return stages.Result{}, err
	}
	if err := job.Out.CheckLinks(); err != nil {
		return stages.Result{}, stages.WithHint(err, "sources may only hold links to their own files")
	}
	if err := s.fetcher.Trim(ctx); err != nil {
		stages.Warn(job.Events, fmt.Sprintf("the cache is not kept within its limit: %v", err))
	}
	resolved.Path = job.Folder
	return stages.Result{Sources: []schema.LockedSource{resolved}, SourceDate: a.Date, Origin: s.source.Origin(resolved)}, nil
}
