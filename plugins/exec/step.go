package exec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	vendir "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

var (
	_ stages.Placer  = (*step)(nil)
	_ stages.Pinner  = (*step)(nil)
	_ stages.Checker = (*step)(nil)
	_ stages.Keyer   = (*step)(nil)
	_ stages.Yielder = (*step)(nil)
	_ stages.Watcher = (*step)(nil)
	_ stages.Planner = (*changer)(nil)
	_ stages.Deleter = (*deployStep)(nil)
)

// Pins reads the executable.
func (s *step) Pins(_ context.Context, job *stages.Job) ([]schema.LockedPlugin, error) {
	return s.host.Pin(s.ref(), job)
}

// Check makes sure that the executable may be run, speaks strake's protocol and has the stage, and lets it check
// for itself if it can.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	a, err := s.ask(ctx, job, protocol.Check)
	if err != nil {
		return err
	}
	return a.session.Close()
}

// Run has the executable do the work.
func (s *step) Run(ctx context.Context, job *stages.Job) (_ stages.Result, err error) {
	a, err := s.ask(ctx, job, protocol.Run)
	if err != nil {
		return stages.Result{}, err
	}
	defer func() { err = errors.Join(err, a.session.Close()) }()
	return s.result(ctx, job, a, protocol.Run)
}

// Watches are the executable's files. What the step reads of the App's folder is watched by those that fetch it.
func (s *step) Watches(job *stages.Job) (stages.Watched, error) {
	return stages.Watched{Paths: s.ref().Files(job.Dir)}, nil
}

// Plan has the executable tell what it would do.
func (s *changer) Plan(ctx context.Context, job *stages.Job) (_ stages.Result, _ []stages.Change, err error) {
	can, err := s.can(ctx, job, protocol.Plan)
	if err != nil {
		return stages.Result{}, nil, err
	}
	if !can {
		return stages.Result{}, nil, s.wrap(errors.New("can't tell what it would do: it has no capability plan"))
	}
	a, err := s.ask(ctx, job, protocol.Plan)
	if err != nil {
		return stages.Result{}, nil, err
	}
	defer func() { err = errors.Join(err, a.session.Close()) }()
	if len(a.result.Changes) > maxEvents {
		return stages.Result{}, nil, s.wrap(fmt.Errorf("has planned more than %d changes", maxEvents))
	}
	var changes []stages.Change
	for i := range a.result.Changes {
		c, err := change(&a.result.Changes[i])
		if err != nil {
			return stages.Result{}, nil, s.wrap(err)
		}
		changes = append(changes, c)
	}
	result, err := s.result(ctx, job, a, protocol.Plan)
	return result, changes, err
}

// Delete has the executable remove what it has deployed.
func (s *deployStep) Delete(ctx context.Context, job *stages.Job) error {
	can, err := s.can(ctx, job, protocol.Delete)
	if err != nil {
		return err
	}
	if !can {
		return s.wrap(errors.New("can't delete what it has deployed: it has no capability delete"))
	}
	a, err := s.ask(ctx, job, protocol.Delete)
	if err != nil {
		return err
	}
	return a.session.Close()
}

// Key counts the executable, what it may read, and what it gets from the environment; the rest is the
// executable's. One without the capability has no key: it is run each time.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	can, err := s.can(ctx, job, protocol.Key)
	if err != nil || !can {
		return "", err
	}
	a, err := s.ask(ctx, job, protocol.Key)
	if err != nil {
		return "", err
	}
	if err := a.session.Close(); err != nil || a.result.Key == "" {
		return "", err
	}
	pins, err := s.host.Pin(s.ref(), job)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q\n", pins[0].Digest, a.hello.Name, a.hello.Version, a.result.Key)
	for _, name := range s.config.Env {
		fmt.Fprintf(sum, "%q=%q\n", name, os.Getenv(name))
	}
	fmt.Fprintf(sum, "%q %q\n", job.App.Labels, job.App.Annotations)
	for _, k := range slices.Sorted(maps.Keys(job.Values)) {
		fmt.Fprintf(sum, "%q=%q\n", k, job.Values[k])
	}
	if s.stage != stages.Fetch {
		digest, err := job.Sources.Digest(ctx, s.config.Read...)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, digest)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// can tells whether the executable has a capability. It is started for that if it hasn't been yet.
func (s *step) can(ctx context.Context, job *stages.Job, capability string) (bool, error) {
	s.mu.Lock()
	hello := s.hello
	s.mu.Unlock()
	if hello == nil {
		if err := s.Check(ctx, job); err != nil {
			return false, err
		}
		s.mu.Lock()
		hello = s.hello
		s.mu.Unlock()
	}
	return slices.Contains(hello.Capabilities, capability), nil
}

// result makes the step's result of the executable's.
func (s *step) result(ctx context.Context, job *stages.Job, a *answer, op string) (r stages.Result, err error) {
	r.Skipped = text(a.result.Skipped)
	if r.Outputs, err = s.outputs(&a.result, op); err != nil {
		return r, s.wrap(err)
	}
	yields := s.stage == stages.Template || s.stage == stages.Build
	switch {
	case a.result.Manifests != "" && !yields:
		return r, s.wrap(fmt.Errorf("yields manifests, which a step of the %s stage doesn't", s.stage))
	case a.result.Manifests != "":
		if r.Manifests, err = s.manifests(a); err != nil {
			return r, s.wrap(err)
		}
	case yields && r.Skipped == "" && job.Manifests == nil:
		return r, s.wrap(errors.New("yields no manifests"))
	case yields:
		r.Manifests = job.Manifests
	}
	if s.stage == stages.Build {
		for _, i := range a.images {
			r.Images = append(r.Images, schema.LockedImage{Image: i.To, Annotations: map[string]string{schema.AnnotationImageID: i.From}})
		}
	}
	if s.stage == stages.Fetch {
		err = s.fetched(ctx, job, a, &r)
	}
	return r, err
}

var manual = vendir.LockDirectoryContentsManual{}

// fetched looks at what the executable has fetched.
func (s *step) fetched(ctx context.Context, job *stages.Job, a *answer, r *stages.Result) error {
	if err := extension.CheckOut(job.Out); err != nil {
		return s.wrap(err)
	}
	digest, err := job.Out.Digest(ctx)
	if err != nil {
		return s.wrap(err)
	}
	now := source(job.Folder, digest)
	was, ok, err := job.Lock.Source(job.Folder)
	if err != nil {
		return err
	}
	if ok && job.Lock.Enforces(job.Folder) && was.Digest != now.Digest {
		return &stages.LockError{Entry: "source " + job.Folder, Reason: fmt.Sprintf("has the digest %s, but the lock file has %s", now.Digest, was.Digest)}
	}
	r.Sources = []schema.LockedSource{now}
	r.Origin = stages.Origin{Source: "plugin " + s.ref().String(), Revision: text(a.result.Revision)}
	return nil
}

// manifests reads the file that a result names, which can't be outside of the executable's area.
func (s *step) manifests(a *answer) (_ stages.Manifests, err error) {
	tree, err := stages.OpenTree(a.session.Out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	name, err := stages.Clean(a.result.Manifests)
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	info, err := tree.Root().Stat(name)
	if err != nil {
		return nil, fmt.Errorf("manifests: %s: %w", text(name), pathError(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("manifests: %s: expected a file, found %s", text(name), info.Mode().Type())
	}
	f, err := tree.Root().Open(name)
	if err != nil {
		return nil, fmt.Errorf("manifests: %s: %w", text(name), pathError(err))
	}
	defer f.Close()
	const most = 256 << 20 // bytes of manifests
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > most:
		return nil, fmt.Errorf("manifests: %s: has more than %d bytes", text(name), most)
	}
	if len(data) == 0 {
		return stages.Manifests{}, nil
	}
	return data, nil
}

// pathError leaves out the folder of the workspace.
func pathError(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}
