package scaffold

import (
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// placeholder is the prefix of repositories where nothing tells one.
const placeholder = "registry.example.com/team"

// dockerfiles adds an image for each Dockerfile that nothing else has taken.
func (w *writer) dockerfiles(a *app, c Choice) {
	files := slices.DeleteFunc(slices.Clone(w.found.Dockerfiles), func(file string) bool { return w.known[file] })
	named := w.found.named(c)
	for _, file := range files {
		folder := path.Dir(file)
		short := Name(path.Base(folder))
		if folder == "." {
			short = w.options.Name
		}
		ref := match(named, short)
		switch {
		case ref != "":
		case len(files) == 1 && len(named) == 1:
			ref = named[0]
		case len(named) > 0:
			w.assume("no manifest names the image %s, which is built from %s: they name %s", short, file, strings.Join(named, ", "))
		}
		if ref == "" {
			ref = short
		}
		w.image(a, image{ref: ref, home: ref, short: short, folder: folder, dockerfile: path.Base(file), options: map[string]any{}})
	}
}

// named are the images that the chosen configuration names, each once. A kustomization may take files from all over
// the folder.
func (f *Found) named(c Choice) []string {
	var all []string
	for file, refs := range f.images {
		if c.Kind == Kustomization || c.holds(path.Dir(file)) {
			all = append(all, refs...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// match finds the image whose repository ends in a name; empty if there is none.
func match(refs []string, short string) string {
	for _, text := range refs {
		if ref, err := name.ParseReference(text); err == nil && path.Base(ref.Context().RepositoryStr()) == short {
			return text
		}
	}
	return ""
}

// An image is one that is built.
type image struct {
	// ref is what manifests call it, home what tells where it belongs, and short what it is called in the App.
	ref, home, short string
	// folder is what it is built from, and dockerfile counts from there.
	folder, dockerfile string
	// options are those of the build.
	options map[string]any
}

// image adds an image.
func (w *writer) image(a *app, i image) {
	file := path.Join(i.folder, i.dockerfile)
	if slices.Contains(w.names, i.ref) {
		w.assume("nothing is built from %s, as the image %s is built from another Dockerfile", file, i.ref)
		return
	}
	w.names, w.known[file] = append(w.names, i.ref), true
	fetchedTo := path.Join("src", i.short)
	a.Spec.Fetch = append(a.Spec.Fetch, fetched{Path: fetchedTo, Directory: &directory{i.folder}})
	if i.dockerfile != "Dockerfile" {
		i.options["dockerfile"] = i.dockerfile
	}
	to := w.pushedTo(i)
	w.sources = append(w.sources, map[string]any{"image": i.ref, "path": fetchedTo, "buildkit": i.options})
	w.targets = append(w.targets, map[string]any{"image": i.ref, "newImage": to})
	w.assume("the image that manifests call %s is built from %s and pushed to %s", i.ref, file, to)
}

// pushedTo is the repository of an image: below the prefix that was asked for, or the one that it has at home, if
// that is a registry's.
func (w *writer) pushedTo(i image) string {
	if w.options.Registry != "" {
		return w.options.Registry + "/" + i.short
	}
	if host, _, ok := strings.Cut(i.home, "/"); ok && strings.ContainsAny(host, ".:") {
		if r, err := name.ParseReference(i.home); err == nil {
			return r.Context().Name()
		}
	}
	return placeholder + "/" + i.short
}
