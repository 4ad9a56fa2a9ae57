package sandbox

import (
	"context"

	"strake.dev/strake/examples/sandbox/internal/build"
)

// programs are the builds of modules, made one after another: each uses all processors.
type programs map[string]*built

type built struct {
	done chan struct{}
	dir  string
	err  error
}

// buildInOrder starts building the modules, and returns at once. Those first in the list can be used
// while later ones are compiled.
func buildInOrder(ctx context.Context, builder *build.Builder, modules []build.Module) programs {
	p := make(programs, len(modules))
	for _, m := range modules {
		p[m.Name] = &built{done: make(chan struct{})}
	}
	go func() {
		for _, m := range modules {
			b := p[m.Name]
			b.dir, b.err = builder.Build(ctx, m)
			close(b.done)
		}
	}()
	return p
}

// dir waits for the folder with a module's programs.
func (p programs) dir(ctx context.Context, m build.Module) (string, error) {
	b := p[m.Name]
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-b.done:
		return b.dir, b.err
	}
}

// modules are what an instance with that kind of node is built from, small ones first.
func modules(node string, root bool) []build.Module {
	list := []build.Module{build.Pause, build.Registry}
	if root {
		list = append(list, build.BuildKit)
	}
	if node == NodeReal {
		list = append(list, build.Containerd)
	} else {
		list = append(list, build.Kwok)
	}
	return append(list, build.Kube)
}
