package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Param is something that a run of a Pipeline is asked for.
type Param struct {
	Name string `json:"name" required:"true"`
	// Description says what it is for.
	Description string `json:"description,omitempty"`
	// Type is that of its values; default: string.
	Type string `json:"type,omitempty" enum:"string,int,bool"`
	// Default is the value if none is given; without it, one has to be.
	Default *Node `json:"default,omitempty"`
	// Enum lists the allowed values.
	Enum []*Node `json:"enum,omitempty"`
}

// SetDefaults makes it a text.
func (p *Param) SetDefaults() { p.Type = paramString }

// The types of parameters.
const (
	paramString = "string"
	paramInt    = "int"
	paramBool   = "bool"
)

// identifier is what expressions can name: params.channel.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate checks that expressions can name it, and that its default is allowed.
func (p *Param) Validate(n *Node) error {
	var found Diagnostics
	if !identifier.MatchString(p.Name) {
		d := n.Get("name").Errorf("%q is not a valid name of a parameter", p.Name)
		d.Hint = "letters, digits and “_”, not beginning with a digit"
		found = append(found, d)
	}
	for _, e := range p.Enum {
		if _, err := p.read(e.Text()); err != nil {
			found = append(found, e.Errorf("%s", err))
		}
	}
	if found == nil && p.Default != nil {
		if _, err := p.Value(p.Default.Text()); err != nil {
			found = append(found, p.Default.Errorf("%s", err))
		}
	}
	return found.Err()
}

// Value reads a value of the parameter: a string, an int64 or a bool.
func (p *Param) Value(text string) (any, error) {
	value, err := p.read(text)
	if err != nil || len(p.Enum) == 0 {
		return value, err
	}
	var allowed []string
	for _, e := range p.Enum {
		if one, err := p.read(e.Text()); err == nil && one == value {
			return value, nil
		}
		allowed = append(allowed, e.Text())
	}
	return nil, fmt.Errorf("expected one of %s, found %q", strings.Join(allowed, ", "), text)
}

func (p *Param) read(text string) (any, error) {
	switch p.Type {
	case paramInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("expected a whole number, found %q", text)
		}
		return n, nil
	case paramBool:
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("expected true or false, found %q", text)
		}
		return text == "true", nil
	default:
		return text, nil
	}
}

// Example is a value of the parameter for checking expressions when none is given.
func (p *Param) Example() any {
	switch {
	case p.Default != nil:
		value, _ := p.Value(p.Default.Text()) // Validate has checked it
		return value
	case len(p.Enum) > 0:
		value, _ := p.read(p.Enum[0].Text()) // likewise
		return value
	case p.Type == paramInt:
		return int64(1)
	case p.Type == paramBool:
		return true
	default:
		return "example"
	}
}

// An EnvVar is an environment variable that expressions may read, as env.NAME. A text is its name.
type EnvVar struct {
	Name string `json:"name" required:"true"`
	// Default is the value if it isn't set; without it, it has to be.
	Default *string `json:"default,omitempty"`
	// Secret keeps the value out of everything that is printed.
	Secret bool `json:"secret,omitempty"`
}

// DecodeNode reads a name or a mapping.
func (e *EnvVar) DecodeNode(n *Node) error {
	type mapping EnvVar
	if n.IsMapping() {
		if err := Decode(n, (*mapping)(e)); err != nil {
			return err
		}
	} else if e.Name = n.Text(); e.Name == "" {
		return n.Errorf("expected the name of an environment variable, or a mapping with name, found %s", n.describe())
	}
	if !identifier.MatchString(e.Name) {
		return n.Errorf("%q is not a valid name of an environment variable", e.Name)
	}
	return nil
}

// A Target is an environment that a Pipeline runs for. Its texts may hold ${{ EXPRESSION }} over params, env
// and target.
type Target struct {
	// Name is what --target and the expression target say, and is part of the names of lock file and workspace.
	Name string `json:"name" required:"true"`
	// Kube is the cluster to deploy to; default: that of the user's kubeconfig.
	Kube TargetKube `json:"kube,omitzero"`
	// Registry is a prefix, such as registry.example.com/team: images that are built and artifacts that are
	// published go below it, each under the last part of its own name.
	Registry string `json:"registry,omitempty"`
	// Values are the last ones of every step that takes values, but for those of --set.
	Values *Node `json:"values,omitempty"`
	// When is a CEL expression over params and env; the target is left out if it is false.
	When string `json:"when,omitempty"`
	// Needs names earlier targets whose runs have to succeed before those of this one begin.
	Needs []string `json:"needs,omitempty"`

	node *Node
}

// TargetKube says where a target's cluster is.
type TargetKube struct {
	// Context is one of the kubeconfig's.
	Context string `json:"context,omitempty"`
	// Kubeconfig is a file, relative to the Pipeline's; default: the user's.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// Namespace is used instead of that of the Pipeline or App: for its record, and for objects that name none.
	Namespace string `json:"namespace,omitempty"`
}

// Validate keeps the place of the target and checks its name.
func (t *Target) Validate(n *Node) error {
	t.node = n
	var found Diagnostics
	if !validName(t.Name) {
		d := n.Get("name").Errorf("%q is not a valid name of a target", t.Name)
		d.Hint = "lower-case letters, digits, “-” and “.”"
		found = append(found, d)
	}
	if v := t.Values; v != nil && !v.IsNull() && !v.IsMapping() {
		found = append(found, v.Errorf("expected a mapping, found %s", v.describe()))
	}
	return found.Err()
}

// Node is where the target stands in the file.
func (t *Target) Node() *Node { return t.node }

// An AppRef names files with Apps by a path or pattern, relative to the Pipeline's file. A text is that path.
type AppRef struct {
	// Path may be a pattern, such as apps/*.yaml; files are taken in the order of their names.
	Path string `json:"path" required:"true"`
	// When is a CEL expression over params, env and target; the Apps are left out if it is false.
	When string `json:"when,omitempty"`
	// Needs names Apps that have to be run, for the same target, before these.
	Needs []string `json:"needs,omitempty"`

	node *Node
}

// DecodeNode reads a path or a mapping.
func (r *AppRef) DecodeNode(n *Node) error {
	type mapping AppRef
	r.node = n
	if n.IsMapping() {
		return Decode(n, (*mapping)(r))
	}
	if r.Path = n.Text(); r.Path == "" {
		return n.Errorf("expected a path, or a mapping with path, found %s", n.describe())
	}
	return nil
}

// Node is where the reference stands in the file.
func (r *AppRef) Node() *Node { return r.node }
