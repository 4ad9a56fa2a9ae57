package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/component"
)

// UpOptions says how an instance is brought up.
type UpOptions struct {
	// Node is the kind of node, or nothing for the best one that is possible.
	Node string
	// Source is the folder of the component modules, as build.FindSource returns it.
	Source string
	// Timeout bounds the time that one component may take to be ready, once it is built.
	Timeout time.Duration
}

// An upRun is one call of Up.
type upRun struct {
	*Sandbox
	*component.Layout
	programs programs
	cache    string
	timeout  time.Duration
	daemons  *daemons
}

// Up brings the instance to the state in which everything answers. What runs already is left alone,
// unless it was started in another way than this program would start it now.
func (s *Sandbox) Up(ctx context.Context, options UpOptions) error {
	release, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	state, err := s.configure(ctx, options.Node)
	if err != nil {
		return err
	}
	layout := s.layout(state)
	if err := layout.IssueCertificates(); err != nil {
		return err
	}
	if err := layout.WriteKubeconfigs(); err != nil {
		return err
	}
	builder, err := s.builder(options.Source)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	up := &upRun{
		Sandbox:  s,
		Layout:   layout,
		programs: buildInOrder(ctx, builder, modules(state.Node, os.Geteuid() == 0)),
		cache:    builder.Cache,
		timeout:  options.Timeout,
		daemons:  &daemons{},
	}
	return runSteps(ctx, up.steps())
}

// lock keeps other calls away from the instance.
func (s *Sandbox) lock(ctx context.Context) (release func(), err error) {
	return s.Lock(ctx, func() { s.Say("waiting for another call that changes instance %q", s.Name) })
}

// builder makes the components' programs.
func (s *Sandbox) builder(source string) (*build.Builder, error) {
	cache, err := build.CacheDir()
	if err != nil {
		return nil, err
	}
	return &build.Builder{Source: source, Cache: cache, Building: func(m build.Module) {
		s.Say("building %s (once for this version)", m.Name)
	}}, nil
}

// Build makes all programs that any kind of node uses.
func (s *Sandbox) Build(ctx context.Context, source string) error {
	builder, err := s.builder(source)
	if err != nil {
		return err
	}
	for _, m := range append(modules(NodeReal, true), build.Kwok) {
		if _, err := builder.Build(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// steps is all that has to be done.
func (u *upRun) steps() []step {
	l := u.Layout
	parts := []component.Component{
		component.Registry(l), component.Etcd(l), component.APIServer(l),
		component.ControllerManager(l), component.Scheduler(l),
	}
	if os.Geteuid() == 0 {
		parts = append(parts, component.BuildKit(l))
	}
	node := "kwok"
	if l.Real {
		node = "kubelet"
		parts = append(parts, component.Containerd(l), component.Kubelet(l))
	}
	var steps []step
	for _, c := range parts {
		steps = append(steps, step{c.Name, c.After, func(ctx context.Context) error { return u.ensure(ctx, c) }})
	}
	if !l.Real {
		steps = append(steps, step{"kwok", []string{"apiserver"}, u.ensureKwok})
	}
	return append(
		steps,
		step{"images", []string{"registry"}, u.seed},
		step{"commands", nil, u.linkCommands},
		step{"service account", []string{"controller-manager"}, u.awaitServiceAccount},
		step{"node", []string{node, "controller-manager", "scheduler"}, u.awaitNode},
	)
}

// linkCommands puts the clients that come with the components into the instance's bin folder.
func (u *upRun) linkCommands(ctx context.Context) error {
	commands := []struct {
		name, program string
		module        build.Module
	}{
		{"kubectl", "kube", build.Kube},
		{"buildctl", "buildctl", build.BuildKit},
	}
	if err := os.MkdirAll(u.Path("bin"), 0o700); err != nil {
		return err
	}
	for _, c := range commands {
		if _, built := u.programs[c.module.Name]; !built {
			continue
		}
		dir, err := u.programs.dir(ctx, c.module)
		if err != nil {
			return err
		}
		if err := link(filepath.Join(dir, c.program), u.Path("bin", c.name)); err != nil {
			return err
		}
	}
	return nil
}

// link makes name a symbolic link to target, in one step.
func link(target, name string) error {
	if old, err := os.Readlink(name); err == nil && old == target {
		return nil
	}
	tmp := name + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// configOf is the content of a component's files, in an order that does not change.
func configOf(c component.Component) []byte {
	var paths []string
	for path := range c.Files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var config []byte
	for _, path := range paths {
		config = fmt.Appendf(config, "%s\n%s\n", path, c.Files[path])
	}
	return config
}
