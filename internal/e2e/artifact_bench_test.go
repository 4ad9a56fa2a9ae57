package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fleet are n sets of six objects each, without pods. Every third has another value in another edition.
func fleet(n, edition int) string {
	var b strings.Builder
	for i := range n {
		value := 1
		if i%3 == 0 {
			value = edition
		}
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: ConfigMap
metadata: {name: c%[1]d}
data: {value: "%[2]d"}
---
apiVersion: v1
kind: Secret
metadata: {name: s%[1]d}
stringData: {value: "%[2]d"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: a%[1]d, annotations: {value: "%[2]d"}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r%[1]d, annotations: {value: "%[2]d"}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: v1
kind: Service
metadata: {name: v%[1]d, annotations: {value: "%[2]d"}}
spec: {ports: [{port: 80}], selector: {app: a%[1]d}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d%[1]d, annotations: {value: "%[2]d"}}
spec: {replicas: 0, selector: {matchLabels: {app: a%[1]d}}, template: {metadata: {labels: {app: a%[1]d}}, spec: {containers: [{name: a, image: a}]}}}
`, i, value)
	}
	return b.String()
}

// A race times whole calls of strake, and of a real Kustomizer if KUSTOMIZER names its binary.
type race struct {
	w     *world
	times map[string][]time.Duration
}

func (r *race) time(what string, binary string, args ...string) {
	r.w.t.Helper()
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.Dir, cmd.Env = r.w.dir, r.w.env
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.w.t.Fatalf("%s %s: %v:\n%s", filepath.Base(binary), strings.Join(args, " "), err, out)
	}
	r.times[what] = append(r.times[what], time.Since(began))
}

func (r *race) report(b *testing.B) {
	for what, all := range r.times {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2].Seconds(), what+"-s")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkInventory300 times whole calls on 300 objects: medians, beside Kustomizer if it is there.
//
//	eval "$(bin/sandbox env)"; go test ./internal/e2e -run '^$' -bench Inventory300 -benchtime 5x
func BenchmarkInventory300(b *testing.B) {
	w := newWorld(b)
	r := &race{w, map[string][]time.Duration{}}
	for edition := range 2 {
		w.write(fmt.Sprintf("%d.yaml", edition+1), strings.ReplaceAll(fleet(50, edition+1), "metadata: {name:", "metadata: {namespace: "+w.namespace+", name:"))
	}
	for range b.N {
		r.time("first", strakeBinary, "apply", "bench", "-n", w.namespace, "-f", "1.yaml", "--prune")
		r.time("same", strakeBinary, "apply", "bench", "-n", w.namespace, "-f", "1.yaml", "--prune")
		r.time("diff", strakeBinary, "diff", "bench", "-n", w.namespace, "-f", "2.yaml", "--prune")
		r.time("third", strakeBinary, "apply", "bench", "-n", w.namespace, "-f", "2.yaml", "--prune")
		r.time("delete", strakeBinary, "delete", "bench", "-n", w.namespace)
		if k := os.Getenv("KUSTOMIZER"); k != "" {
			r.time("k-first", k, "apply", "inventory", "theirs", "-n", w.namespace, "-f", "1.yaml", "--prune")
			r.time("k-same", k, "apply", "inventory", "theirs", "-n", w.namespace, "-f", "1.yaml", "--prune")
			r.time("k-diff", k, "diff", "inventory", "theirs", "-n", w.namespace, "-f", "2.yaml")
			r.time("k-third", k, "apply", "inventory", "theirs", "-n", w.namespace, "-f", "2.yaml", "--prune")
			r.time("k-delete", k, "delete", "inventory", "theirs", "-n", w.namespace)
		}
	}
	r.report(b)
}

// BenchmarkArtifact2000 times whole calls of push, push without changes, pull and inspect for 2,000
// manifests: medians, beside Kustomizer if it is there.
//
//	eval "$(bin/sandbox env)"; go test ./internal/e2e -run '^$' -bench Artifact2000 -benchtime 10x
func BenchmarkArtifact2000(b *testing.B) {
	w := newWorld(b)
	const manifests, each = 2000, 6
	r := &race{w, map[string][]time.Duration{}}
	for i := range b.N {
		w.write("all.yaml", fleet(manifests/each+1, 10+i))
		url := "oci://" + w.repo + "/bench:" + fmt.Sprint(i)
		r.time("push", strakeBinary, "artifact", "push", url, "-f", "all.yaml")
		r.time("again", strakeBinary, "artifact", "push", url, "-f", "all.yaml")
		r.time("pull", strakeBinary, "artifact", "pull", url)
		r.time("inspect", strakeBinary, "artifact", "inspect", url)
		if k := os.Getenv("KUSTOMIZER"); k != "" {
			url := "oci://" + w.repo + "/theirs:" + fmt.Sprint(i)
			r.time("k-push", k, "push", "artifact", url, "-f", "all.yaml")
			r.time("k-pull", k, "pull", "artifact", url)
			r.time("k-inspect", k, "inspect", "artifact", url)
		}
	}
	r.report(b)
}
