package kbld

import (
	"fmt"
	"path"
	"strings"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"github.com/containerd/platforms"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A source is a source of a kbld Config, and the build that its options ask for.
type source struct {
	// config is the source as kbld reads it.
	config kbldconfig.Source
	// path is the context's folder, dockerfile the Dockerfile, both in the App's folder.
	path       string
	dockerfile string
	options    buildkit.Options
	// unsupported is set for a source that can't be built; it matters only if somebody names the image.
	unsupported error
}

// sourceOptions are what the key “buildkit” of a source holds.
type sourceOptions struct {
	// Dockerfile counts from the source's path, and may lie outside of it.
	Dockerfile string            `json:"dockerfile,omitempty"`
	Target     string            `json:"target,omitempty"`
	Platforms  []string          `json:"platforms,omitempty"`
	BuildArgs  map[string]string `json:"buildArgs,omitempty"`
	NoCache    bool              `json:"noCache,omitempty"`
	Pull       bool              `json:"pull,omitempty"`
}

// A request is what a source asks for, before its paths and platforms are checked.
type request struct {
	dockerfile string
	options    buildkit.Options
}

// newSource reads the options of a source, whichever builder they are meant for. own is the value of
// its key “buildkit”, or nil.
func newSource(c kbldconfig.Source, own *schema.Node, how reading) (source, error) {
	s := source{config: c}
	var err error
	if s.path, err = how.locate(c.Path); err != nil {
		return s, fmt.Errorf("path: %w", err)
	}
	if s.unsupported = unsupported(c); s.unsupported != nil {
		return s, nil
	}
	r, err := requestOf(c, own)
	if err != nil {
		return s, err
	}
	s.options = r.options
	if s.options.Platforms, err = normalPlatforms(r.options.Platforms); err != nil {
		return s, err
	}
	if r.dockerfile == "" {
		r.dockerfile = buildkit.DefaultDockerfile
	}
	switch {
	case !path.IsAbs(r.dockerfile):
		s.dockerfile, err = stages.Clean(path.Join(s.path, r.dockerfile))
	case how.anywhere:
		s.dockerfile, err = how.locate(r.dockerfile)
	default:
		return s, fmt.Errorf("dockerfile %s: expected a path relative to the source's path", r.dockerfile)
	}
	if err != nil {
		return s, fmt.Errorf("dockerfile: %w", err)
	}
	return s, nil
}

// requestOf reads the options in the order in which kbld looks for a builder.
func requestOf(c kbldconfig.Source, own *schema.Node) (request, error) {
	if own != nil {
		if c.Docker != nil || c.KubectlBuildkit != nil {
			return request{}, own.Errorf("cannot be combined with another builder in one source")
		}
		var o sourceOptions
		if err := schema.Decode(own, &o); err != nil {
			return request{}, err
		}
		return request{o.Dockerfile, buildkit.Options{
			Target: o.Target, Platforms: o.Platforms, Args: o.BuildArgs, NoCache: o.NoCache, Pull: o.Pull,
		}}, nil
	}
	switch {
	case c.KubectlBuildkit != nil:
		b := c.KubectlBuildkit.Build
		r := options(b.Target, b.File, b.NoCache, b.Pull)
		for p := range strings.SplitSeq(deref(b.Platform), ",") {
			if p != "" {
				r.options.Platforms = append(r.options.Platforms, p)
			}
		}
		return r, r.addRaw(deref(b.RawOptions))
	case c.Docker != nil && c.Docker.Buildx != nil:
		b := c.Docker.Buildx
		r := options(b.Target, b.File, b.NoCache, b.Pull)
		return r, r.addRaw(deref(b.RawOptions))
	case c.Docker != nil:
		b := c.Docker.Build
		r := options(b.Target, b.File, b.NoCache, b.Pull)
		return r, r.addRaw(deref(b.RawOptions))
	}
	return request{}, nil
}

func options(target, file *string, noCache, pull *bool) request {
	return request{deref(file), buildkit.Options{Target: deref(target), NoCache: deref(noCache), Pull: deref(pull)}}
}

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// unsupported is an error for builders that aren't BuildKit.
func unsupported(c kbldconfig.Source) error {
	for builder, given := range map[string]bool{"pack": c.Pack != nil, "ko": c.Ko != nil, "bazel": c.Bazel != nil} {
		if given {
			return stages.WithHint(fmt.Errorf("builder %q is not supported by this version: sources are built with BuildKit", builder),
				"use a Dockerfile: “buildkit: {dockerfile: …}”")
		}
	}
	return nil
}

func normalPlatforms(names []string) ([]string, error) {
	var normal []string
	for _, name := range names {
		p, err := platforms.Parse(strings.TrimSpace(name))
		if err != nil || !strings.Contains(name, "/") {
			return nil, fmt.Errorf("platform %q: expected the form linux/amd64", name)
		}
		normal = append(normal, platforms.Format(platforms.Normalize(p)))
	}
	return normal, nil
}
