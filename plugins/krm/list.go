package krm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

// A resourceList is what a function reads.
type resourceList struct {
	APIVersion     string           `json:"apiVersion"`
	Kind           string           `json:"kind"`
	FunctionConfig any              `json:"functionConfig,omitempty"`
	Items          []map[string]any `json:"items"`
}

// A printedList is what a function prints. Its items are read such that whole numbers stay whole.
type printedList struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
	Results    []result          `json:"results"`
}

// A result is what a function has found. The specification has more fields.
type result struct {
	Message  string `json:"message"`
	Severity string `json:"severity,omitempty"`
	Ref      struct {
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Namespace string `json:"namespace,omitempty"`
	} `json:"resourceRef"`
	Field struct {
		Path string `json:"path"`
	} `json:"field"`
	File struct {
		Path  string `json:"path"`
		Index int    `json:"index,omitempty"`
	} `json:"file"`
}

// The annotations by which objects are told apart while a function has them. The later ones are of functions made
// for an earlier version of the specification.
const (
	pathAnnotation  = "internal.config.kubernetes.io/path"
	indexAnnotation = "internal.config.kubernetes.io/index"
	idAnnotation    = "internal.config.kubernetes.io/id"
	oldPath         = "config.kubernetes.io/path"
	oldIndex        = "config.kubernetes.io/index"
)

// inputPath is where objects come from, as far as functions are told.
const inputPath = "manifests.yaml"

// resourceList is the text that the function reads.
func (s *step) resourceList(job *stages.Job) ([]byte, error) {
	list := resourceList{APIVersion: version, Kind: "ResourceList", Items: []map[string]any{}}
	var err error
	if list.FunctionConfig, err = s.functionConfig(job); err != nil {
		return nil, err
	}
	objects, err := manifest.Parse("manifests", job.Manifests)
	if err != nil {
		return nil, err
	}
	for i, o := range objects {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		index := strconv.Itoa(i)
		maps.Copy(annotations, map[string]string{
			pathAnnotation: inputPath, indexAnnotation: index, idAnnotation: index, oldPath: inputPath, oldIndex: index,
		})
		o.SetAnnotations(annotations)
		list.Items = append(list.Items, o.Object)
	}
	return yaml.Marshal(list)
}

func (s *step) functionConfig(job *stages.Job) (any, error) {
	var config any
	switch {
	case s.config.ConfigPath != "":
		if _, err := job.Sources.Path(s.config.ConfigPath); err != nil {
			return nil, fmt.Errorf("configPath: %w", err)
		}
		text, err := fs.ReadFile(job.Sources.FS(), s.config.ConfigPath)
		if err != nil {
			return nil, fmt.Errorf("configPath: %w", err)
		}
		if err := yaml.Unmarshal(text, &config); err != nil {
			return nil, fmt.Errorf("configPath: %s: %w", s.config.ConfigPath, err)
		}
	case s.config.FunctionConfig != nil:
		var err error
		if config, err = s.config.FunctionConfig.Value(); err != nil {
			return nil, err
		}
	}
	fields, ok := config.(map[string]any)
	if config == nil || ok && fields["kind"] != nil {
		return config, nil
	}
	return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": job.Step}, "data": config}, nil
}

// read reads what the function has printed. ended is how it ended: one that fails says why by results.
func (s *step) read(out []byte, job *stages.Job, ended error) (stages.Manifests, error) {
	var list printedList
	err := yaml.Unmarshal(out, &list)
	switch {
	case ended != nil && (err != nil || len(list.Results) == 0):
		return nil, ended
	case err != nil:
		return nil, fmt.Errorf("what it printed is no ResourceList: %s", render.Line(err.Error()))
	case list.Kind != "ResourceList" || !strings.HasPrefix(list.APIVersion, "config.kubernetes.io/"):
		return nil, fmt.Errorf("what it printed is no ResourceList, but %s", render.Line(fmt.Sprintf("apiVersion %q, kind %q", list.APIVersion, list.Kind)))
	}
	var errs []error
	for i := range list.Results {
		r := &list.Results[i]
		switch r.Severity {
		case "error", "": // the specification's default
			errs = append(errs, errors.New(r.text()))
		case "warning":
			stages.Warn(job.Events, r.text())
		default:
			stages.Log(job.Events, r.text())
		}
	}
	if len(errs) == 0 && ended != nil {
		errs = append(errs, ended)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return list.manifests()
}

// text is a result in one line: where, and what.
func (r *result) text() string {
	var where []string
	if r.File.Path != "" && r.File.Path != inputPath {
		where = append(where, fmt.Sprintf("%s[%d]", r.File.Path, r.File.Index))
	}
	if r.Ref.Kind != "" {
		where = append(where, stages.ObjectRef{Kind: r.Ref.Kind, Name: r.Ref.Name, Namespace: r.Ref.Namespace}.String())
	}
	if r.Field.Path != "" {
		where = append(where, r.Field.Path)
	}
	return render.Line(strings.Join(append(where, r.Message), ": "))
}

// manifests prints the objects without the annotations.
func (l *printedList) manifests() (stages.Manifests, error) {
	var out bytes.Buffer
	for i, item := range l.Items {
		var o map[string]any
		if err := utiljson.Unmarshal(item, &o); err != nil {
			return nil, fmt.Errorf("item %d of what it printed is no object: %w", i, err)
		}
		if o["apiVersion"] == nil || o["kind"] == nil {
			return nil, fmt.Errorf("item %d of what it printed is no object: it has no apiVersion or no kind", i)
		}
		clean(o)
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	if out.Len() == 0 {
		return stages.Manifests{}, nil
	}
	return out.Bytes(), nil
}

func clean(object map[string]any) {
	metadata, ok := object["metadata"].(map[string]any)
	if !ok {
		return
	}
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		return
	}
	for name := range annotations {
		if strings.HasPrefix(name, "internal.config.kubernetes.io/") || name == oldPath || name == oldIndex {
			delete(annotations, name)
		}
	}
	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}
}
