package kbld

import (
	"cmp"
	"fmt"
	"path"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A source is a source of a kbld Config, and the build that its options ask for.
type source struct {
	// config is the source as kbld reads it.
	config kbldconfig.Source
	// path is the context's folder in the App's folder. It is empty for a remote.
	path string
	request
	// tool is what builds the source instead of BuildKit: pack, ko or bazel.
	tool string
	// unsupported is set for a source that can't be built; it matters only if somebody names the image.
	unsupported error
}

// A request is what a source asks for, whichever builder its options are meant for. What they say is
// checked; what only a run can know is added by [source.optionsFor].
type request struct {
	// remote is the URL of the git repository that the context and the Dockerfile come from; empty for a
	// folder.
	remote string
	// dir is the source's path: it is where paths of the options count from. For a remote, it is where
	// paths of sources count from.
	dir string
	how reading
	// dockerfile is a path in the App's folder.
	dockerfile string
	options    buildkit.Options
	secrets    []secret
	ssh        []sshKeys
	output     output
}

// newSource reads the options of a source, whichever builder they are meant for. own is the value of
// its key “buildkit”, or nil.
func newSource(c kbldconfig.Source, own *schema.Node, how reading) (source, error) {
	s := source{config: c}
	var err error
	if s.tool = toolOf(c); s.tool == "" && buildkit.IsRemote(c.Path) {
		s.remote, s.how, s.dockerfile = c.Path, how, buildkit.DefaultDockerfile
		if s.dir, err = how.locate("."); err == nil {
			err = buildkit.CheckRemote(c.Path)
		}
	} else {
		s.path, err = how.locate(c.Path)
	}
	if err != nil {
		return s, stages.WithHint(fmt.Errorf("path: %w", err), "%s", stages.Hint(err))
	}
	if s.tool != "" {
		if own != nil {
			return s, own.Errorf("cannot be combined with another builder in one source")
		}
		return s, nil
	}
	if s.remote == "" {
		s.dir, s.how, s.dockerfile = s.path, how, path.Join(s.path, buildkit.DefaultDockerfile)
	}
	return s, s.readOptions(c, own)
}

// where names what a source is built from.
func (s *source) where() string { return cmp.Or(s.remote, s.path) }

// readOptions reads the options in the order in which kbld looks for a builder.
func (r *request) readOptions(c kbldconfig.Source, own *schema.Node) error {
	switch {
	case own != nil && (c.Docker != nil || c.KubectlBuildkit != nil):
		return own.Errorf("cannot be combined with another builder in one source")
	case own != nil:
		return r.readOwn(own)
	case c.KubectlBuildkit != nil:
		b := c.KubectlBuildkit.Build
		if b.Platform != nil {
			if err := r.addPlatforms(*b.Platform); err != nil {
				return fmt.Errorf("platform: %w", err)
			}
		}
		return r.readFields(b.Target, b.File, b.NoCache, b.Pull, b.RawOptions)
	case c.Docker != nil && c.Docker.Buildx != nil:
		b := c.Docker.Buildx
		return r.readFields(b.Target, b.File, b.NoCache, b.Pull, b.RawOptions)
	case c.Docker != nil:
		// “buildkit” of docker.build chooses Docker's builder, and builds are BuildKit's here in any case.
		b := c.Docker.Build
		return r.readFields(b.Target, b.File, b.NoCache, b.Pull, b.RawOptions)
	}
	return nil
}

// readFields reads what kbld has as fields for all its builders. As on the command line that kbld
// makes of them, raw options come later, and win.
func (r *request) readFields(target, file *string, noCache, pull *bool, raw *[]string) error {
	r.options.Target, r.options.NoCache, r.options.Pull = deref(target), deref(noCache), deref(pull)
	if err := r.setDockerfile(deref(file)); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return r.addRaw(deref(raw))
}

// below makes of a path that counts from the source's path one in the App's folder.
func (r *request) below(name string) (string, error) {
	switch {
	case !path.IsAbs(name):
		return stages.Clean(path.Join(r.dir, name))
	case r.how.anywhere:
		return r.how.locate(name)
	}
	return "", fmt.Errorf("%s: expected a path relative to the source's path", name)
}

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
