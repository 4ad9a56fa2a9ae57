package scaffold

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"strake.dev/strake/schema"
)

// The kinds of what describes the objects to deploy, the most telling first: a folder with a chart may hold
// templates that look like manifests.
const (
	Chart         = "chart"
	Kustomization = "kustomization"
	Ytt           = "ytt"
	Manifests     = "manifests"
	Compose       = "compose"
)

// Found is what a folder holds. Paths are relative to it; “.” is the folder itself.
type Found struct {
	// Dockerfiles are those that images are built from.
	Dockerfiles []string
	// Configs are folders, or for compose files the files, by kind.
	Configs map[string][]string

	root string
	dir  fs.FS
	// images are what YAML files name as images, by file.
	images map[string][]string
}

// skipped folders hold what others have made.
var skipped = []string{"node_modules", "vendor", "testdata", "test", "tests", "target", "dist", "build", "bin"}

// depth is how many folders deep it looks.
const depth = 4

// Find looks for what an App can be made of.
func Find(folder string) (*Found, error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	f := &Found{Configs: map[string][]string{}, root: root, dir: os.DirFS(root), images: map[string][]string{}}
	err = fs.WalkDir(f.dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || slices.Contains(skipped, base) || strings.Count(name, "/") >= depth) {
				return fs.SkipDir
			}
			if f.inside(Chart, path.Dir(name)) && name != "." {
				return fs.SkipDir // the templates of a chart
			}
			return nil
		}
		return f.file(name)
	})
	return f, err
}

func (f *Found) read(name string) ([]byte, error) { return fs.ReadFile(f.dir, name) }

// imageField is a field that names an image, also in a template.
var imageField = regexp.MustCompile(`(?m)^\s*(?:-\s+)?image:\s*["']?([^\s"'#{}$]+)["']?\s*(?:#.*)?$`)

func (f *Found) file(name string) error {
	folder, base := path.Dir(name), path.Base(name)
	switch {
	case base == "Dockerfile" || base == "Containerfile":
		f.Dockerfiles = append(f.Dockerfiles, name)
		return nil
	case base == "Chart.yaml":
		f.add(Chart, folder)
		return nil
	case base == "kustomization.yaml" || base == "kustomization.yml" || base == "Kustomization":
		f.add(Kustomization, folder)
		return nil
	case slices.Contains([]string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}, base):
		f.add(Compose, name)
		return nil
	case path.Ext(base) != ".yaml" && path.Ext(base) != ".yml" || strings.HasSuffix(base, ".lock.yaml"):
		return nil
	}
	const most = 1 << 20
	info, err := fs.Stat(f.dir, name)
	if err != nil || info.Size() > most {
		return nil //nolint:nilerr // a file that can't be read is no manifest
	}
	text, err := f.read(name)
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	if bytes.Contains(text, []byte("apiVersion: "+schema.APIVersion)) {
		return nil // an App names images that others name
	}
	for _, m := range imageField.FindAllSubmatch(text, -1) {
		f.images[name] = append(f.images[name], string(m[1]))
	}
	switch {
	case bytes.Contains(text, []byte("#@")):
		f.add(Ytt, folder)
	case isManifest(name, text):
		f.add(Manifests, folder)
	}
	return nil
}

// isManifest tells whether a file holds Kubernetes objects to deploy.
func isManifest(name string, text []byte) bool {
	docs, err := schema.Parse(name, text)
	if err != nil || len(docs) == 0 {
		return false
	}
	for _, doc := range docs {
		api, kind := doc.Get("apiVersion").Text(), doc.Get("kind").Text()
		ours := strings.HasPrefix(api, "strake.dev/") || strings.HasPrefix(api, "kappctrl.k14s.io/") || strings.HasPrefix(api, "vendir.k14s.io/") || strings.HasPrefix(api, "kbld.k14s.io/")
		if api == "" || kind == "" || ours || doc.Get("metadata") == nil {
			return false
		}
	}
	return true
}

func (f *Found) add(kind, where string) {
	if !slices.Contains(f.Configs[kind], where) {
		f.Configs[kind] = append(f.Configs[kind], where)
	}
}

// inside tells whether a folder is one of those of a kind, or below one.
func (f *Found) inside(kind, folder string) bool {
	return slices.ContainsFunc(f.Configs[kind], func(known string) bool {
		return folder == known || known == "." || strings.HasPrefix(folder, known+"/")
	})
}

// A Choice is what the App is made of.
type Choice struct {
	Kind string
	// Path is that of the folder or file.
	Path string
}

// ErrNothing says that a folder holds nothing that an App can be made of.
var ErrNothing = errors.New("found nothing to make an App of")

// choose takes the most telling configuration, and among several of a kind one for production, or the one that
// is nearest. The others are those that it doesn't hold.
func (f *Found) choose() (chosen Choice, others []string) {
	for _, kind := range []string{Chart, Kustomization, Ytt, Manifests, Compose} {
		all := slices.Clone(f.Configs[kind])
		slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
		for _, where := range all {
			switch {
			case chosen.Kind == "":
				chosen = Choice{kind, where}
			case !chosen.holds(where) && !slices.Contains(others, where):
				others = append(others, where)
			}
		}
	}
	return chosen, others
}

// holds tells whether what is somewhere is a part of the choice.
func (c Choice) holds(where string) bool {
	if c.Kind == Compose {
		return where == c.Path
	}
	return c.Path == "." && c.Kind != Kustomization && c.Kind != Chart || where == c.Path || strings.HasPrefix(where, c.Path+"/")
}

func rank(where string) int {
	n := 2 * strings.Count(where, "/")
	if strings.Contains(path.Base(where), "prod") {
		n -= 10
	}
	if where == "." {
		n--
	}
	return n
}
