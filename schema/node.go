package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on what one file may hold, so that a small hostile file (nested aliases, deep nesting)
// can't take all memory. They are far above what people write.
const (
	maxFileBytes = 16 << 20
	maxNodes     = 1_000_000
	maxDepth     = 200
)

// A Node is a piece of a YAML file that remembers its place and the name of the field it is.
// Aliases are already followed and merge keys (<<) merged.
type Node struct {
	yaml *yaml.Node
	file string
	path string
	// line0 is added to the line numbers of the underlying node.
	line0 int
}

// Parse reads the YAML documents of a file. name is used in messages only. Empty documents are
// left out. The error is a [Diagnostics].
func Parse(name string, data []byte) ([]*Node, error) {
	if len(data) > maxFileBytes {
		return nil, Diagnostics{{Pos: Pos{File: name}, Msg: fmt.Sprintf("file has %d bytes, expected at most %d", len(data), maxFileBytes)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var nodes []*Node
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, Diagnostics{syntaxError(name, err)}
		}
		x := &expander{file: name}
		root, err := x.expand(&doc, 0)
		if err != nil {
			var found Diagnostics
			found.Collect(Pos{File: name}, "", err)
			return nil, found
		}
		if root == nil || root.Tag == "!!null" {
			continue
		}
		nodes = append(nodes, &Node{yaml: root, file: name})
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntaxError(file string, err error) Diagnostic {
	d := Diagnostic{Pos: Pos{File: file}, Msg: err.Error(), Hint: "the file is not valid YAML"}
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			d.Pos.Line, d.Pos.Column = line, 1
		}
		d.Msg = m[2]
	}
	return d
}

// An expander replaces aliases by what they point to and applies merge keys, within the limits.
type expander struct {
	file  string
	nodes int
	// open holds the anchors being expanded, to find those that contain themselves.
	open []*yaml.Node
}

func (x *expander) expand(n *yaml.Node, depth int) (*yaml.Node, error) {
	fail := func(msg string) (*yaml.Node, error) {
		return nil, Diagnostic{Pos: Pos{File: x.file, Line: n.Line, Column: n.Column}, Msg: msg}
	}
	if x.nodes++; x.nodes > maxNodes {
		return fail(fmt.Sprintf("document has more than %d values once its aliases are expanded", maxNodes))
	}
	if depth > maxDepth {
		return fail(fmt.Sprintf("document is nested more than %d levels deep", maxDepth))
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return x.expand(n.Content[0], depth)
	case yaml.AliasNode:
		if slices.Contains(x.open, n.Alias) {
			return fail(fmt.Sprintf("alias *%s contains itself", n.Value))
		}
		x.open = append(x.open, n.Alias)
		defer func() { x.open = x.open[:len(x.open)-1] }()
		return x.expand(n.Alias, depth)
	case yaml.SequenceNode:
		out := *n
		out.Content = make([]*yaml.Node, len(n.Content))
		for i, c := range n.Content {
			e, err := x.expand(c, depth+1)
			if err != nil {
				return nil, err
			}
			out.Content[i] = e
		}
		return &out, nil
	case yaml.MappingNode:
		return x.expandMapping(n, depth)
	default:
		return n, nil
	}
}

func (x *expander) expandMapping(n *yaml.Node, depth int) (*yaml.Node, error) {
	out := *n
	out.Content = nil
	seen := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		e, err := x.expand(v, depth+1)
		if err != nil {
			return nil, err
		}
		if k.Tag == "!!merge" {
			merged = append(merged, e)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			return nil, Diagnostic{Pos: Pos{File: x.file, Line: k.Line, Column: k.Column}, Msg: "key is not a string"}
		}
		if seen[k.Value] {
			return nil, Diagnostic{Pos: Pos{File: x.file, Line: k.Line, Column: k.Column}, Msg: fmt.Sprintf("key %q is given twice", k.Value)}
		}
		seen[k.Value] = true
		out.Content = append(out.Content, k, e)
	}
	// A key given in the mapping itself wins over merged ones, and an earlier merge over a later one
	// (https://yaml.org/type/merge.html).
	for _, m := range merged {
		sources := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			sources = m.Content
		}
		for _, s := range sources {
			if s.Kind != yaml.MappingNode {
				return nil, Diagnostic{Pos: Pos{File: x.file, Line: s.Line, Column: s.Column}, Msg: "value of << is not a mapping"}
			}
			for i := 0; i+1 < len(s.Content); i += 2 {
				if k := s.Content[i]; !seen[k.Value] {
					seen[k.Value] = true
					out.Content = append(out.Content, k, s.Content[i+1])
				}
			}
		}
	}
	return &out, nil
}

// Pos tells where the node begins.
func (n *Node) Pos() Pos {
	return Pos{File: n.file, Line: n.yaml.Line + n.line0, Column: n.yaml.Column}
}

// Path names the field that the node is, as in spec.fetch[0].git.
func (n *Node) Path() string { return n.path }

// Errorf returns a Diagnostic about the node.
func (n *Node) Errorf(format string, args ...any) Diagnostic {
	return Diagnostic{Pos: n.Pos(), Path: n.path, Msg: fmt.Sprintf(format, args...)}
}

// IsMapping tells whether the node is a mapping.
func (n *Node) IsMapping() bool { return n.yaml.Kind == yaml.MappingNode }

// IsNull tells whether the node is an empty value.
func (n *Node) IsNull() bool { return n.yaml.Kind == yaml.ScalarNode && n.yaml.Tag == "!!null" }

// Get returns the value of a key of a mapping, and nil when the node isn't a mapping or lacks it.
func (n *Node) Get(key string) *Node {
	for _, p := range n.Pairs() {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// Text returns the value of a scalar as it is written, and "" for other nodes.
func (n *Node) Text() string {
	if n == nil || n.yaml.Kind != yaml.ScalarNode || n.IsNull() {
		return ""
	}
	return n.yaml.Value
}

// A Pair is one key of a mapping, its place, and its value.
type Pair struct {
	Key    string
	KeyPos Pos
	Value  *Node
}

// Pairs returns the keys and values of a mapping in file order, and nil for other nodes.
func (n *Node) Pairs() []Pair {
	if n == nil || n.yaml.Kind != yaml.MappingNode {
		return nil
	}
	pairs := make([]Pair, 0, len(n.yaml.Content)/2)
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		k, v := n.yaml.Content[i], n.yaml.Content[i+1]
		pairs = append(pairs, Pair{
			Key:    k.Value,
			KeyPos: Pos{File: n.file, Line: k.Line + n.line0, Column: k.Column},
			Value:  n.child(v, join(n.path, k.Value)),
		})
	}
	return pairs
}

// Items returns the elements of a sequence, and nil for other nodes.
func (n *Node) Items() []*Node {
	if n == nil || n.yaml.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]*Node, len(n.yaml.Content))
	for i, c := range n.yaml.Content {
		items[i] = n.child(c, fmt.Sprintf("%s[%d]", n.path, i))
	}
	return items
}

func (n *Node) child(c *yaml.Node, path string) *Node {
	return &Node{yaml: c, file: n.file, path: path, line0: n.line0}
}

// Value returns the node as plain Go data: map[string]any, []any, string, bool, int, float64, nil.
func (n *Node) Value() (any, error) {
	if n == nil {
		return nil, nil
	}
	var v any
	if err := n.yaml.Decode(&v); err != nil {
		return nil, n.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return stringKeys(v), nil
}

// stringKeys turns the keys of all mappings into strings, as JSON has them.
func stringKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = stringKeys(e)
		}
		return m
	case map[string]any:
		for k, e := range v {
			v[k] = stringKeys(e)
		}
		return v
	case []any:
		for i, e := range v {
			v[i] = stringKeys(e)
		}
		return v
	default:
		return v
	}
}

// YAML returns the node printed as a YAML document.
func (n *Node) YAML() ([]byte, error) {
	if n == nil {
		return nil, nil
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n.yaml); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// NewNode turns plain Go data into a node, for configuration that comes from code instead of a
// file. pos is the place that messages give.
func NewNode(v any, pos Pos, path string) (*Node, error) {
	var y yaml.Node
	if err := y.Encode(v); err != nil {
		return nil, err
	}
	return &Node{yaml: &y, file: pos.File, path: path, line0: pos.Line}, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
