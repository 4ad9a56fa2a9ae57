package scaffold

import (
	"context"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"strake.dev/strake/schema"
)

// Options say what can't be found in a folder.
type Options struct {
	// Name is that of the App.
	Name string
	// Registry is the prefix that images are pushed below; empty is where the manifests have them.
	Registry string
}

// A Result is a first App.
type Result struct {
	// File is the text of app.yaml.
	File []byte
	// Assumed are what was taken for granted, one sentence each.
	Assumed []string
}

// Write makes an App of what was found. The error is [ErrNothing] if that is too little.
func (f *Found) Write(ctx context.Context, o Options) (*Result, error) {
	choice, others := f.choose()
	if choice.Kind == "" && len(f.Dockerfiles) == 0 {
		return nil, ErrNothing
	}
	w := &writer{found: f, options: o, known: map[string]bool{}, secret: map[string]bool{}}
	spec := &app{APIVersion: schema.APIVersion, Kind: schema.KindApp}
	spec.Metadata.Name = o.Name
	if err := w.config(ctx, spec, choice); err != nil {
		return nil, err
	}
	if len(others) > 0 {
		w.assume("%s is what describes the objects; there are also %s", choice.Path, strings.Join(others, ", "))
	}
	w.dockerfiles(spec, choice)
	if choice.Kind == "" {
		w.workload(spec)
	}
	w.build(spec)
	spec.Spec.Deploy = []map[string]any{{"kapp": map[string]any{}}}
	return w.finish(spec)
}

// app is the part of an App that is written, in the order in which people read it.
type app struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Fetch    []fetched        `yaml:"fetch"`
		Template []map[string]any `yaml:"template"`
		Build    []map[string]any `yaml:"build,omitempty"`
		Deploy   []map[string]any `yaml:"deploy"`
	} `yaml:"spec"`
}

type fetched struct {
	Path      string         `yaml:"path"`
	Directory *directory     `yaml:"directory,omitempty"`
	Inline    map[string]any `yaml:"inline,omitempty"`
}

type directory struct {
	Path string `yaml:"path"`
}

type writer struct {
	found   *Found
	options Options
	sources []any
	targets []any
	assumed []string
	// known are Dockerfiles that an image is built from already, and names those of images.
	known map[string]bool
	names []string
	// secret are the variables that come from Secrets.
	secret map[string]bool
}

func (w *writer) assume(format string, args ...any) {
	w.assumed = append(w.assumed, fmt.Sprintf(format, args...))
}

// config adds what describes the objects.
func (w *writer) config(ctx context.Context, a *app, c Choice) error {
	if c.Kind == "" {
		return nil
	}
	if c.Kind == Compose {
		return w.compose(ctx, a, c.Path)
	}
	a.Spec.Fetch = append(a.Spec.Fetch, fetched{Path: "config", Directory: &directory{c.Path}})
	step := map[string]any{"paths": []string{"config"}}
	switch c.Kind {
	case Chart:
		a.Spec.Template = append(a.Spec.Template, map[string]any{"helmTemplate": map[string]any{"path": "config"}})
		w.assume("%s is a chart of Helm; its values are the chart's own: valuesFrom names others", c.Path)
	case Kustomization:
		// A kustomization may refer to folders beside its own.
		a.Spec.Fetch[0].Directory.Path = "."
		if c.Path == "." {
			a.Spec.Template = append(a.Spec.Template, map[string]any{"kustomize": map[string]any{"path": "config"}})
		} else {
			a.Spec.Template = append(a.Spec.Template, map[string]any{"kustomize": map[string]any{"path": path.Join("config", c.Path)}})
		}
		w.assume("%s is built by kustomize", c.Path)
	default:
		a.Spec.Template = append(a.Spec.Template, map[string]any{"ytt": step})
		w.assume("all YAML files of %s are the objects, or templates of ytt", c.Path)
	}
	return nil
}

// workload adds a Deployment of the images, where nothing else describes the objects.
func (w *writer) workload(a *app) {
	var docs []any
	for _, name := range w.names {
		docs = append(docs, deployment(name, map[string]any{"name": name, "image": name}))
	}
	w.inline(a, docs)
	w.assume("nothing describes the objects: one Deployment for each image is written into the file")
}

// inline adds objects that stand in the App itself.
func (w *writer) inline(a *app, docs []any) {
	var text strings.Builder
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	for _, doc := range docs {
		_ = enc.Encode(doc) // it is plain data, and written to memory
	}
	_ = enc.Close() // likewise
	a.Spec.Fetch = append(a.Spec.Fetch, fetched{Path: "config", Inline: map[string]any{"paths": map[string]string{"app.yml": text.String()}}})
	a.Spec.Template = append(a.Spec.Template, map[string]any{"ytt": map[string]any{"paths": []string{"config"}}})
}

func (w *writer) build(a *app) {
	kbld := map[string]any{}
	if len(w.sources) > 0 {
		kbld["config"] = map[string]any{"sources": w.sources, "destinations": w.targets}
	}
	a.Spec.Build = []map[string]any{{"kbld": kbld}}
}

func (w *writer) finish(a *app) (*Result, error) {
	var b strings.Builder
	b.WriteString("# yaml-language-server: $schema=https://strake.dev/schema/v1alpha1/app.schema.json\n#\n# Assumed:\n")
	for _, line := range w.assumed {
		fmt.Fprintf(&b, "# - %s.\n", line)
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(a); err != nil {
		return nil, err
	}
	return &Result{File: []byte(b.String()), Assumed: w.assumed}, enc.Close()
}

// Name makes a name that Kubernetes takes of any text.
func Name(text string) string {
	clean := schema.NameFrom(text)
	const longest = 63
	clean = strings.Trim(clean[:min(len(clean), longest)], "-")
	if clean == "" {
		return "app"
	}
	return clean
}

func deployment(name string, container map[string]any) map[string]any {
	labels := map[string]any{"app": name}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{container}}},
		},
	}
}
