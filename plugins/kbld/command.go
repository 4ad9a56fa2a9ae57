package kbld

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	"carvel.dev/kbld/pkg/kbld/resources"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/stages"
)

// A Request is what kbld's own command line asks for. There is no App: the paths of sources count from
// the working directory, and may lead anywhere.
type Request struct {
	// Documents are the input: manifests, and what configures kbld among them.
	Documents []resources.Resource
	// Images maps references to images that somebody has settled on already.
	Images map[string]string
	// Platform picks an image of every index, unless an override picks another one; nil picks none.
	Platform *kbldconfig.PlatformSelection
	// NoBuild makes an image that has a source an error. NoBuildHint says what to do about it.
	NoBuild     bool
	NoBuildHint string
	// Confinement, if not nil, is for a call on behalf of an App of somebody else: paths of sources count
	// from that App's folder, and options must be ones that the policy allows.
	Confinement *Confinement
	// RelativeOrigins lets the paths in origins count from the working directory. Those of kbld are
	// absolute, and so differ from machine to machine.
	RelativeOrigins bool
	// Cache is a folder for what only makes faster, as in [stages.Job]; it may be empty.
	Cache string
	// Events is told what happens, Hide which values must not be shown.
	Events stages.Observer
	Hide   func(value []byte)
}

// A Command is a Request whose documents were read.
type Command struct {
	request Request
	in      *input
	// dir is the working directory.
	dir string
}

// NewCommand reads the documents of a request. Its errors are kbld's own, where kbld has one.
func NewCommand(r Request) (*Command, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	c := &Command{request: r, in: &input{platform: r.Platform, noBuild: r.NoBuild, noBuildHint: r.NoBuildHint}, dir: dir}
	err = safely("reading", func() error {
		c.in.objects, c.in.conf, err = kbldconfig.NewConfFromResources(r.Documents)
		return err
	})
	if err != nil {
		return nil, err
	}
	how := reading{locate: c.locate, anywhere: true, lazy: true}
	if r.Confinement != nil {
		how = reading{locate: stages.Clean, lazy: true, policy: r.Confinement.Policy}
	}
	for i, doc := range r.Documents {
		if !isConfig(doc) {
			continue
		}
		d, err := readConfig("", doc, how)
		if err != nil {
			return nil, err
		}
		for _, s := range d.sources {
			if r.Confinement != nil {
				r.Confinement.admit(&s, i)
			} else {
				c.check(&s)
			}
			c.in.sources = append(c.in.sources, s)
		}
	}
	var settled kbldconfig.Config
	for _, ref := range slices.Sorted(maps.Keys(r.Images)) {
		settled.Overrides = append(settled.Overrides, kbldconfig.ImageOverride{
			ImageRef: kbldconfig.ImageRef{Image: ref}, NewImage: r.Images[ref], Preresolved: true,
		})
	}
	c.in.conf = c.in.conf.WithAdditionalConfig(settled)
	return c, nil
}

// volume is the root of the file system that the working directory lies in.
func (c *Command) volume() string { return filepath.VolumeName(c.dir) + string(filepath.Separator) }

// locate makes of a path one below volume. Links are followed here, as an absolute one can't be later.
func (c *Command) locate(path string) (string, error) {
	path = c.absolute(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return stages.Clean("./" + strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(c.volume())))
}

func (c *Command) absolute(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
	}
	return filepath.Clean(path)
}

// check makes a source unsupported that can't be built, in kbld's words where kbld has some.
func (c *Command) check(s *source) {
	if s.remote != "" {
		return
	}
	path := s.config.Path
	info, err := os.Stat(path)
	switch {
	case err != nil:
		s.unsupported = fmt.Errorf("Checking if path '%s' is a directory: %w", path, err) //nolint:staticcheck // kbld's words
	case !info.IsDir():
		s.unsupported = fmt.Errorf("Expected path '%s' to be a directory, but was not", path) //nolint:staticcheck // kbld's words
	}
}

// References lists, sorted, the distinct references of the manifests.
func (c *Command) References() ([]string, error) { return c.in.references() }

// Resolve finds out what every reference becomes, and builds those that have sources. Errors that are
// about one reference are [ImageError]s, joined.
func (c *Command) Resolve(ctx context.Context, deps Deps) (*Resolution, error) {
	root, temp, cache := c.volume(), "", c.request.Cache
	if confined := c.request.Confinement; confined != nil {
		var done func()
		var err error
		if root, temp, done, err = confined.folders(); err != nil {
			return nil, err
		}
		defer done()
		// What one App was built from is nothing for another one to see.
		cache = ""
	}
	sources, err := stages.OpenTree(root)
	if err != nil {
		return nil, err
	}
	defer sources.Close()
	memo := deps.Registry.Memo()
	r := &run{
		input: c.in, deps: deps, registry: memo, images: map[string]image{},
		lookup:  &buildkit.Lookup{Registry: memo, Dir: c.request.Cache, Temp: temp, UserAgent: deps.UserAgent},
		origins: c.origins, localImages: true, confined: c.request.Confinement,
		job: &stages.Job{
			App: stages.App{Name: "kbld"}, Dir: c.dir, Sources: sources, Cache: cache, Temp: temp,
			Lock: &stages.Lock{}, Objects: noObjects{}, Hide: c.request.Hide, Events: c.request.Events,
		},
	}
	if r.confined != nil {
		r.origins, r.localImages = inApp, false
	}
	if err := r.settle(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	done := &Resolution{in: c.in}
	done.add(c.in.conf, r.images)
	return done, nil
}

// origins are those of an image that is built from s, as kbld tells them.
func (c *Command) origins(s *source) ([]kbldconfig.Origin, error) {
	dir := c.absolute(s.config.Path)
	shown := dir
	if c.request.RelativeOrigins {
		rel, err := filepath.Rel(c.dir, dir)
		if err != nil {
			return nil, err
		}
		shown = filepath.ToSlash(rel)
	}
	origins := []kbldconfig.Origin{{Local: &kbldconfig.OriginLocal{Path: shown}}}
	repo := kbldimage.NewGitRepo(dir)
	if !repo.IsValid() {
		return origins, nil
	}
	var git kbldconfig.OriginGit
	var err error
	if git.SHA, err = repo.HeadSHA(); err != nil {
		return nil, err
	}
	url, err := repo.RemoteURL()
	if err != nil {
		return nil, err
	}
	git.RemoteURL = kbldimage.GitRedactedRemoteURL(url)
	if git.Dirty, err = repo.IsDirty(); err != nil {
		return nil, err
	}
	if git.Tags, err = repo.HeadTags(); err != nil {
		return nil, err
	}
	return append(origins, kbldconfig.Origin{Git: &git}), nil
}

// A Resolution is what references became, and the manifests with it.
type Resolution struct {
	Record
	in *input
}

// Documents returns each object of the manifests with its references replaced and, if asked, annotated
// with where its images come from.
func (r *Resolution) Documents(annotate bool) ([][]byte, error) {
	return r.in.rewrite(r.images, annotate)
}

// noObjects has no Secrets: there is no App that could have some.
type noObjects struct{}

func (noObjects) Secret(_ context.Context, name string) (map[string][]byte, error) {
	return nil, noObject("Secret", name)
}

func (noObjects) ConfigMap(_ context.Context, name string) (map[string][]byte, error) {
	return nil, noObject("ConfigMap", name)
}

func noObject(kind, name string) error {
	return stages.WithHint(fmt.Errorf("%s %s: %w", kind, name, stages.ErrNoObject),
		"under the name kbld there is no App, and so no %s: take the value from the environment or from a file", kind)
}
