package schema

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// With returns a copy of a mapping in which key has that value: plain Go data or a *Node. The rest of
// the copy keeps its places, and the value has the place of what it replaces, else of the mapping, so
// that messages about it lead somewhere.
func (n *Node) With(key string, value any) (*Node, error) {
	at := n.yaml
	if old := n.Get(key); old != nil {
		at = old.yaml
	}
	v, err := encode(value, at)
	if err != nil {
		return nil, err
	}
	out := *n.yaml
	out.Content = slices.Clone(n.yaml.Content)
	for i := 0; i+1 < len(out.Content); i += 2 {
		if out.Content[i].Value == key {
			out.Content[i+1] = v
			return n.child(&out, n.path), nil
		}
	}
	k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: at.Line, Column: at.Column}
	out.Content = append(out.Content, k, v)
	if out.Kind != yaml.MappingNode {
		// An empty value, such as that of “ytt:”.
		out = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: out.Content, Line: at.Line, Column: at.Column}
	}
	return n.child(&out, n.path), nil
}

// without returns a copy of a mapping that lacks a key.
func (n *Node) without(key string) *Node {
	out := *n.yaml
	out.Content = nil
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		if k := n.yaml.Content[i]; k.Value != key {
			out.Content = append(out.Content, k, n.yaml.Content[i+1])
		}
	}
	return n.child(&out, n.path)
}

// newMapping returns a mapping of keys and values, at the place of another node.
func newMapping(at *Node, keysAndValues ...any) (*Node, error) {
	n := at.child(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.yaml.Line, Column: at.yaml.Column}, "")
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		var err error
		if n, err = n.With(keysAndValues[i].(string), keysAndValues[i+1]); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Plus returns a copy of a mapping with values added at the end of the list that key has.
func (n *Node) Plus(key string, values ...any) (*Node, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.yaml.Line, Column: n.yaml.Column}
	if old := n.Get(key); old != nil && !old.IsNull() {
		copied := *old.yaml
		copied.Content = slices.Clone(copied.Content)
		list = &copied
	}
	for _, value := range values {
		v, err := encode(value, list)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, v)
	}
	return n.With(key, n.child(list, join(n.path, key)))
}

// encode turns a value into a node at the place of another one.
func encode(value any, at *yaml.Node) (*yaml.Node, error) {
	if node, ok := value.(*Node); ok {
		return node.yaml, nil
	}
	v := &yaml.Node{}
	if err := v.Encode(value); err != nil {
		return nil, err
	}
	place(v, at)
	return v, nil
}

func place(n, at *yaml.Node) {
	n.Line, n.Column = at.Line, at.Column
	for _, c := range n.Content {
		place(c, at)
	}
}

// computed marks numbers and booleans by writing out their tags: nobody has forgotten their quotes, and a field
// for a text takes them, too.
func computed(n *yaml.Node) {
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool":
		n.Style |= yaml.TaggedStyle
	}
	for _, c := range n.Content {
		computed(c)
	}
}

// Replace returns a copy in which every text is what with makes of it: plain Go data, or the same text for
// none. A field for a text takes numbers and booleans that it makes. Keys stay. All problems are returned, as
// [Diagnostics].
func (n *Node) Replace(with func(text *Node) (any, error)) (*Node, error) {
	var found Diagnostics
	var walk func(n *Node) *yaml.Node
	walk = func(n *Node) *yaml.Node {
		switch n.yaml.Kind {
		case yaml.ScalarNode:
			if n.yaml.ShortTag() != "!!str" {
				return n.yaml
			}
			value, err := with(n)
			if err != nil {
				found.Collect(n.Pos(), n.Path(), err)
				return n.yaml
			}
			if value == n.yaml.Value {
				return n.yaml
			}
			out, err := encode(value, n.yaml)
			if err != nil {
				found.Collect(n.Pos(), n.Path(), err)
				return n.yaml
			}
			computed(out)
			return out
		case yaml.MappingNode:
			out := *n.yaml
			out.Content = nil
			for i, p := range n.Pairs() {
				out.Content = append(out.Content, n.yaml.Content[2*i], walk(p.Value))
			}
			return &out
		default:
			out := *n.yaml
			out.Content = nil
			for _, item := range n.Items() {
				out.Content = append(out.Content, walk(item))
			}
			return &out
		}
	}
	out := walk(n)
	return n.child(out, n.path), found.Err()
}
