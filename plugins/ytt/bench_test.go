package ytt

import (
	"fmt"
	"strings"
	"testing"
)

// deployment is a document of usual size, %d its number.
const deployment = `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: #@ "app-%[1]d-" + data.values.suffix
  labels: {app: app-%[1]d}
spec:
  replicas: #@ data.values.replicas
  selector: {matchLabels: {app: app-%[1]d}}
  template:
    metadata: {labels: {app: app-%[1]d}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app:%[1]d
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
`

func BenchmarkRender2000(b *testing.B) {
	const header = "#@ load(\"@ytt:data\", \"data\")\n"
	const schema = "#@data/values-schema\n---\nsuffix: x\nreplicas: 1\n"
	const overlay = "#@ load(\"@ytt:overlay\", \"overlay\")\n#@overlay/match by=overlay.all, expects=\"1+\"\n---\nmetadata:\n  labels:\n    #@overlay/match missing_ok=True\n    team: x\n"
	var docs strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&docs, deployment, i)
	}
	plain := strings.NewReplacer(`#@ "app-`, `"app-`, `-" + data.values.suffix`, `-x"`, "#@ data.values.replicas", "1").Replace(docs.String())
	file := func(name, text string) File { return Bytes(name, "file "+name, []byte(text)) }
	inputs := map[string]Input{
		"plain":     {Files: []File{file("a.yml", plain)}},
		"templates": {Files: []File{file("a.yml", header+docs.String()), file("s.yml", schema)}},
		"overlay":   {Files: []File{file("a.yml", header+docs.String()), file("o.yml", overlay), file("s.yml", schema)}},
		"set":       {Files: []File{file("a.yml", header+docs.String()), file("s.yml", schema)}, Set: map[string]string{"replicas": "2"}},
	}
	for name, in := range inputs {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := Render(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				if n := strings.Count(string(out), "kind: Deployment"); n != 2000 {
					b.Fatalf("expected 2000 documents, found %d", n)
				}
			}
		})
	}
}
