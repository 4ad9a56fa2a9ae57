package sync

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Part is one content of a configuration as a step of an App sees it: it is fetched anew into a folder of
// its own, with its entry in the App's lock.
type Part struct {
	*content
	// job is that of the step, for the part.
	job *stages.Job
}

// Parts are the contents of a configuration, for the job of a step. dir is the folder that its paths count from.
func (s *Syncer) Parts(conf vendirconf.Config, job *stages.Job, dir string) ([]Part, error) {
	r := &run{Syncer: s, Options: Options{Dir: dir}}
	dirs, err := r.folders(conf)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, d := range dirs {
		for _, c := range d.contents {
			own := *job
			own.Dir, own.Folder = dir, path.Join(job.Folder, c.path)
			parts = append(parts, Part{content: c, job: &own})
		}
	}
	return parts, nil
}

// Check tells before anything runs why Fetch would fail.
func (p Part) Check(ctx context.Context) error {
	if _, err := source.Locked(p.source, p.job); err != nil {
		return err
	}
	return p.named(p.source.Check(ctx, p.job))
}

// Key names what the part's source has now, or is empty if that can't be told.
func (p Part) Key(ctx context.Context) (string, error) {
	locked, err := source.Locked(p.source, p.job)
	if err != nil {
		return "", err
	}
	key, err := p.source.Key(ctx, p.job, locked)
	if key == "" || err != nil {
		return "", p.named(err)
	}
	return p.path + " " + p.source.Kind() + " " + key, nil
}

// named says which content an error is about.
func (p Part) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", p.path, err)
}

// Fetched is what parts have come to.
type Fetched struct {
	Sources []schema.LockedSource
	Origin  stages.Origin
	// Date is the time of the newest commit that any content is from; zero if none is from one.
	Date time.Time
}

// Fetch writes all parts to their paths below root, whose own path is dir.
func Fetch(ctx context.Context, parts []Part, root *os.Root, dir string) (Fetched, error) {
	sources, dates, origins := make([]schema.LockedSource, len(parts)), make([]time.Time, len(parts)), make([]stages.Origin, len(parts))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, p := range parts {
		g.Go(func() (err error) {
			sources[i], dates[i], err = p.fetch(gctx, root, dir)
			origins[i] = p.origin(sources[i], err)
			return p.named(err)
		})
	}
	if err := g.Wait(); err != nil {
		return Fetched{}, err
	}
	all := Fetched{Sources: sources}
	var from, revisions []string
	for i, o := range origins {
		if o.Source != "" {
			from, revisions = append(from, o.Source), append(revisions, o.Revision)
		}
		if dates[i].After(all.Date) {
			all.Date = dates[i]
		}
	}
	all.Origin = stages.Origin{Source: strings.Join(from, ","), Revision: strings.Join(revisions, ",")}
	return all, nil
}

func (p Part) origin(resolved schema.LockedSource, err error) stages.Origin {
	if err != nil {
		return stages.Origin{}
	}
	return p.source.Origin(resolved)
}

func (p Part) fetch(ctx context.Context, root *os.Root, dir string) (schema.LockedSource, time.Time, error) {
	fail := func(err error) (schema.LockedSource, time.Time, error) {
		return schema.LockedSource{}, time.Time{}, err
	}
	locked, err := source.Locked(p.source, p.job)
	if err != nil {
		return fail(err)
	}
	if parent := path.Dir(p.path); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return fail(err)
		}
	}
	a, err := source.NewArea(root, dir)
	if err != nil {
		return fail(err)
	}
	defer a.Close()
	resolved, err := p.source.Fetch(ctx, p.job, locked, a)
	if err != nil {
		return fail(err)
	}
	if err := a.Finish(ctx, p.config.Filter, p.config.Root(), p.path, false); err != nil {
		return fail(err)
	}
	resolved.Path = p.job.Folder
	if p.conf.Lazy {
		resolved.ConfigDigest = p.configDigest
	}
	return resolved, a.Date, nil
}

// Watches tells what the part depends on.
func (p Part) Watches() (stages.Watched, error) {
	watched, err := source.Watches(p.source, p.job)
	return watched, p.named(err)
}
