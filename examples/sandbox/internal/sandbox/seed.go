package sandbox

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/component"
	"strake.dev/strake/examples/sandbox/internal/images"
)

// seed gives the registry the base images that every instance has.
func (u *upRun) seed(ctx context.Context) error {
	dir, err := u.programs.dir(ctx, build.Pause)
	if err != nil {
		return err
	}
	pause, err := images.Pause(filepath.Join(dir, "pause"))
	if err != nil {
		return err
	}
	box, err := images.Busybox(ctx, busybox())
	if err != nil {
		return err
	}
	golang, err := images.Golang(ctx, box)
	if err != nil {
		return err
	}
	return images.Seed(ctx, u.Registry(), filepath.Join(u.cache, "images"), []*images.Recipe{pause, box, golang})
}

// A recipeFunc makes the recipe of an image that the registry gets only when it is asked for.
type recipeFunc func(ctx context.Context, l *component.Layout, b *build.Builder, box *images.Recipe) (*images.Recipe, error)

var extraImages = map[string]recipeFunc{
	"buildkit": func(ctx context.Context, l *component.Layout, b *build.Builder, box *images.Recipe) (*images.Recipe, error) {
		dir, err := b.Build(ctx, build.BuildKit)
		if err != nil {
			return nil, err
		}
		return images.BuildKit(ctx, box, dir, build.BuildKit.Version, l.Runc)
	},
	"registry": func(ctx context.Context, _ *component.Layout, b *build.Builder, box *images.Recipe) (*images.Recipe, error) {
		dir, err := b.Build(ctx, build.Registry)
		if err != nil {
			return nil, err
		}
		return images.Registry(ctx, box, filepath.Join(dir, "registry"))
	},
	"node": func(ctx context.Context, _ *component.Layout, _ *build.Builder, box *images.Recipe) (*images.Recipe, error) {
		return images.Node(ctx, box)
	},
}

// ExtraImages are the names of the images that Seed can make.
func ExtraImages() []string { return slices.Sorted(maps.Keys(extraImages)) }

// Seed gives the registry, which must run, further images out of what this machine has: those of
// [ExtraImages] that are named.
func (s *Sandbox) Seed(ctx context.Context, source string, names []string) error {
	for _, name := range names {
		if extraImages[name] == nil {
			return fmt.Errorf("no image %q; there are: %s", name, strings.Join(ExtraImages(), ", "))
		}
	}
	state, err := s.load()
	if err != nil {
		return err
	}
	builder, err := s.builder(source)
	if err != nil {
		return err
	}
	box, err := images.Busybox(ctx, busybox())
	if err != nil {
		return err
	}
	l := s.layout(state)
	var recipes []*images.Recipe
	for _, name := range names {
		recipe, err := extraImages[name](ctx, l, builder, box)
		if err != nil {
			return err
		}
		recipes = append(recipes, recipe)
	}
	return images.Seed(ctx, l.Registry(), filepath.Join(builder.Cache, "images"), recipes)
}
