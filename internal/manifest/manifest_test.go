package manifest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

const stream = `# a comment
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  text: |
    --- not a document
    kind: Secret
---
---
# another comment
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: team
--- # with a comment
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: s, namespace: team}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: r}
---
apiVersion: v1
kind: SecretList
items:
- metadata: {name: x}
---
{{ broken: [
---
just text
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "j"}}
`

func ref(apiVersion, kind, namespace, name string) stages.ObjectRef {
	return stages.ObjectRef{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}
}

func TestLine(t *testing.T) {
	for _, manifests := range []string{stream, strings.ReplaceAll(stream, "\n", "\r\n"), strings.TrimSuffix(stream, "\n")} {
		p := Locate([]byte(manifests))
		for want, r := range map[int]stages.ObjectRef{
			2: ref("v1", "ConfigMap", "filled-in", "a"), 12: ref("apps/v1beta1", "Deployment", "team", "web"),
			21: ref("v1", "Service", "team", "s"), 24: ref("rbac.authorization.k8s.io/v1", "Role", "", "r"),
			31: ref("v1", "Secret", "", "x"), 41: ref("v1", "Secret", "", "j"),
		} {
			if got := p.Line(r); got != want {
				t.Errorf("%s: expected line %d, found %d", r, want, got)
			}
		}
		for _, r := range []stages.ObjectRef{
			ref("apps/v1", "Deployment", "", "web"), ref("v1", "Deployment", "team", "web"), ref("v1", "ConfigMap", "", "b"), {},
		} {
			if got := p.Line(r); got != 0 {
				t.Errorf("%s: expected no line, found %d", r, got)
			}
		}
	}
}

func TestPlace(t *testing.T) {
	p := Locate([]byte(stream))
	for _, c := range []struct{ file, name, want string }{
		{"out.yaml", "a", "out.yaml:2"}, {"out.yaml", "none", "out.yaml"}, {"", "a", ""},
	} {
		if got := p.Place(c.file, ref("v1", "ConfigMap", "", c.name)); got != c.want {
			t.Errorf("expected %q, found %q", c.want, got)
		}
	}
}

func FuzzLocate(f *testing.F) {
	f.Add([]byte(stream))
	f.Add([]byte("---"))
	f.Add([]byte("kind: List\nitems: [&a {kind: List, items: [*a]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bytes.Count(data, []byte("\n")) + 1
		for r, line := range Locate(data).lines {
			if line < 1 || line > lines {
				t.Errorf("%v is said to be at line %d of %d", r, line, lines)
			}
		}
		if joined := bytes.Join(collect(data), nil); !bytes.Equal(joined, data) {
			t.Errorf("documents lose something: %q", joined)
		}
	})
}

func collect(data []byte) [][]byte {
	var all [][]byte
	for d := range Documents(data) {
		all = append(all, d)
	}
	return all
}

func BenchmarkLocate2000(b *testing.B) {
	var all strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&all, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: n%d}\ndata: {a: b, c: d}\n", i)
	}
	for b.Loop() {
		Locate([]byte(all.String()))
	}
}
