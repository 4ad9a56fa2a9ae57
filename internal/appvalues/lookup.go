package appvalues

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Lookup finds what the configuration of one step refers to, and remembers what of it is secret.
type Lookup struct {
	Secrets Secrets
	job     *stages.Job
}

// NewLookup returns a lookup for the step that the job is of.
func NewLookup(job *stages.Job) *Lookup { return &Lookup{job: job} }

// A Ref names a Secret or a ConfigMap, and the place that refers to it.
type Ref struct {
	// Kind is Secret or ConfigMap.
	Kind string
	Name string
	Node *schema.Node
}

// The kinds of a [Ref].
const (
	KindSecret    = "Secret"
	KindConfigMap = "ConfigMap"
)

// Object returns the data of what r names.
func (l *Lookup) Object(ctx context.Context, r Ref) (map[string][]byte, error) {
	find := l.job.Objects.Secret
	if r.Kind == KindConfigMap {
		find = l.job.Objects.ConfigMap
	}
	data, err := find(ctx, r.Name)
	switch {
	case errors.Is(err, stages.ErrNoObject):
		err = fmt.Errorf("%s: %w", Place(r.Node), err)
		return nil, stages.WithHint(err, "add the %s to the App's file, or create it in the namespace %s", r.Kind, l.job.App.Namespace)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", Place(r.Node), err)
	}
	if r.Kind == KindSecret {
		for _, value := range data {
			l.Secrets.Add(value)
		}
	}
	return data, nil
}

// A File holds values that lie in no folder.
type File struct {
	// Name says in messages where the values come from.
	Name string
	// Base is the name of the file that kapp-controller would make.
	Base string
	Data []byte
}

// Files returns the values of a source other than a path: a file for each key or item, in order.
func (l *Lookup) Files(ctx context.Context, s *Source) ([]File, error) {
	if s.DownwardAPI != nil {
		return l.downward(ctx, s)
	}
	r := Ref{Kind: KindConfigMap, Node: s.node}
	if s.SecretRef != nil {
		r.Kind, r.Name = KindSecret, s.SecretRef.Name
	} else {
		r.Name = s.ConfigMapRef.Name
	}
	data, err := l.Object(ctx, r)
	if err != nil {
		return nil, err
	}
	var all []File
	for _, key := range slices.Sorted(maps.Keys(data)) {
		// No slash may be in the name: ytt would take the file for one of a folder.
		all = append(all, File{Name: fmt.Sprintf("%s %s, %s", r.Kind, r.Name, key), Base: key, Data: data[key]})
	}
	return all, nil
}

// downward returns one file of values for each item.
func (l *Lookup) downward(ctx context.Context, s *Source) ([]File, error) {
	var all []File
	for i := range s.DownwardAPI.Items {
		item := &s.DownwardAPI.Items[i]
		value, err := l.value(ctx, item)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", Place(s.node), item.Name, err)
		}
		for _, part := range slices.Backward(splitName(item.Name)) {
			value = map[string]any{part: value}
		}
		// JSON is YAML in which no string looks like a number.
		content, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all = append(all, File{
			Name: fmt.Sprintf("downwardAPI %d, %s", i, item.Name), Base: fmt.Sprintf("downwardapi_%d.yaml", i), Data: content,
		})
	}
	return all, nil
}

func (l *Lookup) value(ctx context.Context, i *DownwardItem) (any, error) {
	switch {
	case i.KubernetesVersion != nil:
		return l.KubernetesVersion(ctx, i.KubernetesVersion)
	case i.KappControllerVersion != nil:
		if v := i.KappControllerVersion.Version; v != "" {
			return v, nil
		}
		return KappControllerVersion, nil
	case i.KubernetesAPIs != nil:
		return l.KubernetesAPIs(ctx, i.KubernetesAPIs)
	}
	return i.field.of(l.job.App)
}

// WriteKey writes what the values of the sources depend on, for the key of a step. That of the
// manifests so far is the engine's part of the key.
func (l *Lookup) WriteKey(ctx context.Context, w io.Writer, sources []Source) error {
	for i := range sources {
		s := &sources[i]
		switch {
		case s.Path == Stream:
		case s.Path != "":
			digest, err := l.job.Sources.Digest(ctx, s.Path)
			if err != nil {
				return fmt.Errorf("%s: %w", Place(s.node), err)
			}
			fmt.Fprintf(w, "values path %q %s\n", s.Path, digest)
		default:
			files, err := l.Files(ctx, s)
			if err != nil {
				return err
			}
			for _, f := range files {
				fmt.Fprintf(w, "values %q %x\n", f.Name, sha256.Sum256(f.Data))
			}
		}
	}
	return nil
}

// Check makes sure that the Secrets, ConfigMaps, fields of the App and facts of the cluster exist that
// the sources name. Paths are not there yet when steps are checked.
func (l *Lookup) Check(ctx context.Context, sources []Source) error {
	var found []error
	for i := range sources {
		if sources[i].Path != "" {
			continue
		}
		if _, err := l.Files(ctx, &sources[i]); err != nil {
			found = append(found, err)
		}
	}
	return errors.Join(found...)
}

// Clean returns the error of a tool with secrets masked in its text and its hint.
func (l *Lookup) Clean(err error) error {
	clean := errors.New(l.Secrets.Clean(err.Error()))
	if hint := stages.Hint(err); hint != "" {
		return stages.WithHint(clean, "%s", l.Secrets.Clean(hint))
	}
	return clean
}

// Place says where in the App's file something is referred to.
func Place(n *schema.Node) string {
	if n.Path() == "" {
		return n.Pos().String()
	}
	return n.Pos().String() + ": " + n.Path()
}
