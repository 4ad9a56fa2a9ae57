package kbld

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"carvel.dev/imgpkg/pkg/imgpkg/lockconfig"
	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"carvel.dev/kbld/pkg/kbld/resources"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// stream is the path that stands for the manifests so far.
const stream = "-"

// An input is what a step works on.
type input struct {
	conf    kbldconfig.Conf
	sources []source
	// platform picks an image of every index, unless an override picks another one; nil picks none.
	platform *kbldconfig.PlatformSelection
	// noBuild makes an image that has a source an error, with a hint.
	noBuild     bool
	noBuildHint string
	// objects are the manifests without those that configure kbld.
	objects []resources.Resource
	// ignored describes keys of Config documents among the manifests that mean nothing.
	ignored []string
}

// read reads manifests and configuration.
func (c *Config) read(job *stages.Job) (*input, error) {
	in := &input{}
	if c.own != nil {
		in.add(c.own)
	}
	paths := c.Paths
	switch {
	case len(paths) > 0:
	case job.Manifests != nil:
		paths = []string{stream}
	default:
		paths = []string{"."}
	}
	for _, p := range paths {
		if err := in.readPath(job, p); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (in *input) add(d *document) {
	in.conf = in.conf.WithAdditionalConfig(d.config)
	in.sources = append(in.sources, d.sources...)
}

// readPath reads the manifests so far, a file, or all YAML and JSON files of a folder, by name.
func (in *input) readPath(job *stages.Job, p string) error {
	if p == stream {
		return in.readYAML("the manifests so far", job.Manifests)
	}
	clean, err := stages.Clean(p)
	if err != nil {
		return err
	}
	root := job.Sources.Root()
	info, err := root.Stat(clean)
	if err != nil {
		_, err := job.Sources.Path(p)
		return err
	}
	names := []string{clean}
	if info.IsDir() {
		if names, err = manifestFiles(root.FS(), clean); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	for _, name := range names {
		data, err := root.ReadFile(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := in.readYAML(name, data); err != nil {
			return err
		}
	}
	return nil
}

// manifestFiles lists, sorted as kbld does, the files that may hold manifests.
func manifestFiles(files fs.FS, dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(files, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if slices.Contains([]string{".json", ".yaml", ".yml"}, path.Ext(name)) {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

func (in *input) readYAML(name string, data []byte) error {
	docs, err := resources.NewYAMLFile(resources.NewBytesSource(data)).Docs()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for i, doc := range docs {
		rs, err := parse(doc)
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", name, i+1, err)
		}
		for _, r := range rs {
			if err := in.readResource(name, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func parse(doc []byte) (rs []resources.Resource, err error) {
	err = safely("reading", func() error {
		rs, err = resources.NewResourcesFromBytes(doc)
		return err
	})
	return rs, err
}

// configKinds are the kinds of document that kbld reads as a Config.
var configKinds = []string{kindConfig, "Sources", "ImageOverrides", "ImageDestinations", "ImageKeys"}

func isConfig(r resources.Resource) bool {
	return r.APIVersion() == apiVersion && slices.Contains(configKinds, r.Kind())
}

func (in *input) readResource(name string, r resources.Resource) error {
	switch {
	case isConfig(r):
		d, err := readConfig(name+": ", r, forManifests)
		if err != nil {
			return err
		}
		in.ignored = append(in.ignored, d.ignored...)
		in.add(d)
	case r.APIVersion() == lockconfig.ImagesLockAPIVersion && r.Kind() == lockconfig.ImagesLockKind:
		c, err := kbldconfig.NewConfigFromImagesLock(r)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		in.conf = in.conf.WithAdditionalConfig(c)
	default:
		in.objects = append(in.objects, r)
	}
	return nil
}

// readConfig reads a kbld Config of the input. prefix goes before its kind and name in messages.
func readConfig(prefix string, r resources.Resource, how reading) (*document, error) {
	place := schema.Pos{File: strings.TrimSpace(prefix + r.Kind() + " " + r.Name())}
	n, err := schema.NewNode(r.DeepCopyRaw(), place, "")
	if err != nil {
		return nil, err
	}
	return readDocument(n, how)
}

// safely turns a panic of a library into an error.
func safely(doing string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(err, fmt.Errorf("%s: the library failed unexpectedly: %v", doing, p))
		}
	}()
	return f()
}
