// Package manifest finds objects in a YAML stream of Kubernetes manifests, so that messages about
// an object can name the line where it begins.
package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"strake.dev/strake/stages"
)

// Places are the lines of the objects of a stream.
type Places struct{ lines map[stages.ObjectRef]int }

// Locate finds the objects of a stream, those in a List too. It is for messages, and so passes over
// whatever isn't an object or can't be read. Of equal objects the first counts.
func Locate(manifests []byte) *Places {
	p := &Places{lines: map[stages.ObjectRef]int{}}
	first := 1
	for doc := range Documents(manifests) {
		var n yaml.Node
		if err := yaml.Unmarshal(doc, &n); err == nil && len(n.Content) == 1 {
			p.add(n.Content[0], first-1, "", "")
		}
		first += bytes.Count(doc, []byte("\n"))
	}
	return p
}

// Documents splits a stream before each line that begins a document, which “---” does wherever it stands
// in the first column (YAML 1.2.2, 9.1.2).
func Documents(stream []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start, at := 0, 0
		for line := range bytes.Lines(stream) {
			rest, marker := bytes.CutPrefix(line, []byte("---"))
			if marker && at > start && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
				if !yield(stream[start:at]) {
					return
				}
				start = at
			}
			at += len(line)
		}
		if start < len(stream) {
			yield(stream[start:])
		}
	}
}

// add notes an object that begins offset lines after what its node says. Items of typed lists may leave
// out their own type.
func (p *Places) add(n *yaml.Node, offset int, apiVersion, kind string) {
	if n.Kind != yaml.MappingNode {
		return
	}
	if v := text(n, "apiVersion"); v != "" {
		apiVersion = v
	}
	if v := text(n, "kind"); v != "" {
		kind = v
	}
	items := field(n, "items")
	if of, list := strings.CutSuffix(kind, "List"); list && items != nil && items.Kind == yaml.SequenceNode {
		if of == "" {
			apiVersion = ""
		}
		for _, item := range items.Content {
			p.add(item, offset, apiVersion, of)
		}
		return
	}
	meta := field(n, "metadata")
	name := text(meta, "name")
	if kind == "" || name == "" {
		return
	}
	key := keyOf(stages.ObjectRef{APIVersion: apiVersion, Kind: kind, Namespace: text(meta, "namespace"), Name: name})
	if _, ok := p.lines[key]; !ok {
		p.lines[key] = n.Line + offset
	}
}

// keyOf leaves out the version, which deployers may change.
func keyOf(r stages.ObjectRef) stages.ObjectRef {
	group, _, ok := strings.Cut(r.APIVersion, "/")
	if !ok {
		group = ""
	}
	r.APIVersion = group
	return r
}

// field returns the value of a key of a mapping, or nil.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node, key string) string {
	if v := field(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// Line returns the line, from 1, in which an object begins; 0 if it isn't known. A namespace that
// the deployer has filled in may be missing in the manifests.
func (p *Places) Line(ref stages.ObjectRef) int {
	key := keyOf(ref)
	if line := p.lines[key]; line > 0 || ref.Namespace == "" {
		return line
	}
	key.Namespace = ""
	return p.lines[key]
}

// Place names an object's place in the file that holds the manifests, as path:line, or the path alone
// if the line isn't known. Without a file it is empty.
func (p *Places) Place(rendered string, ref stages.ObjectRef) string {
	line := p.Line(ref)
	if rendered == "" || line == 0 {
		return rendered
	}
	return fmt.Sprintf("%s:%d", rendered, line)
}
