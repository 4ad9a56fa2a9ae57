package kapp

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mixed are n objects of eleven kinds, as an app of many small parts has them. No pod is started: what is
// compared is the deploying tool, not the node.
func mixed(n int) string {
	kinds := []struct {
		share int // in percent
		text  string
	}{
		{34, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %[1]s}\ndata:\n  app.properties: |\n    name=%[1]s\n    level=info\n    retries=3\n  other: \"%[1]s\"\n"},
		{17, "apiVersion: v1\nkind: Secret\nmetadata: {name: %[1]s, labels: {part: \"%[1]s\"}}\nstringData: {password: \"secret-of-%[1]s\", user: app}\n"},
		{10, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %[1]s}\n"},
		{7, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: %[1]s}\nrules:\n- {apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, watch]}\n"},
		{7, "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: %[1]s}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}\nsubjects: [{kind: ServiceAccount, name: %[1]s}]\n"},
		{10, "apiVersion: v1\nkind: Service\nmetadata: {name: %[1]s}\nspec: {selector: {app: %[1]s}, ports: [{port: 80, targetPort: 8080}]}\n"},
		{10, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: %[1]s}}\n  template:\n    metadata: {labels: {app: %[1]s}}\n    spec:\n      containers:\n      - {name: main, image: \"registry.example.com/%[1]s:1\", ports: [{containerPort: 8080}], env: [{name: A, value: b}]}\n"},
		{2, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %[1]s}\nspec: {podSelector: {matchLabels: {app: %[1]s}}, policyTypes: [Ingress]}\n"},
		{1, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: %[1]s}\nspec: {rules: [{host: %[1]s.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[1]s, port: {number: 80}}}}]}}]}\n"},
		{1, "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: %[1]s}\nspec: {schedule: \"0 3 * * *\", suspend: true, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: \"registry.example.com/job:1\"}]}}}}}\n"},
		{1, "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: %[1]s}\nspec: {minAvailable: 1, selector: {matchLabels: {app: %[1]s}}}\n"},
	}
	var b strings.Builder
	for _, k := range kinds {
		for i := range max(n*k.share/100, 1) {
			b.WriteString("---\n")
			fmt.Fprintf(&b, k.text, fmt.Sprintf("part-%d", i))
		}
	}
	return b.String()
}

// BenchmarkDeploy300 times deploys of 300 objects with the commands of kapp's library, with their
// defaults, and with the plugin, in turns, and prints medians, requests and ratios:
//
//	eval "$(bin/sandbox env)"; go test ./plugins/kapp -run '^$' -bench Deploy300 -benchtime 5x
func BenchmarkDeploy300(b *testing.B) {
	manifests := mixed(300)
	changed := strings.Replace(manifests, "registry.example.com/part-0:1", "registry.example.com/part-0:2", 1)
	phases := []struct {
		name, manifests string
		delete          bool
	}{{"first", manifests, false}, {"no-op", manifests, false}, {"change", changed, false}, {"delete", "", true}}

	requests := map[string]int{}
	took := map[string][]time.Duration{}
	round := func(tool string, count bool) {
		p := newPlace(b)
		var proxy *apiProxy
		if count {
			proxy = p.proxied()
		}
		for _, ph := range phases {
			file := filepath.Join(b.TempDir(), "app.yaml")
			if err := os.WriteFile(file, []byte(ph.manifests), 0o600); err != nil {
				b.Fatal(err)
			}
			if count {
				proxy.requests.Store(0)
			}
			began := time.Now()
			switch {
			case tool == "kapp" && ph.delete:
				p.kapp("delete", "-a", "app")
			case tool == "kapp":
				p.kapp("deploy", "-a", "app", "-f", file)
			case ph.delete:
				p.delete()
			default:
				p.deploy("", ph.manifests)
			}
			key := tool + " " + ph.name
			if count {
				requests[key] = int(proxy.requests.Load())
			} else {
				took[key] = append(took[key], time.Since(began))
			}
		}
	}
	tools := []string{"kapp", "strake"}
	if only := os.Getenv("BENCH_ONLY"); only != "" {
		tools = []string{only}
	}
	for _, t := range tools {
		round(t, true)
	}
	for b.Loop() {
		for _, t := range tools {
			round(t, false)
		}
	}
	if len(tools) == 1 {
		b.Log(took, requests)
		return
	}
	b.ReportMetric(0, "ns/op")
	for _, ph := range phases {
		theirs, ours := median(took["kapp "+ph.name]), median(took["strake "+ph.name])
		b.Logf("%-7s kapp %6.3f s %5d requests   strake %6.3f s %5d requests   ratio %.1f", ph.name,
			theirs.Seconds(), requests["kapp "+ph.name], ours.Seconds(), requests["strake "+ph.name], theirs.Seconds()/ours.Seconds())
		b.ReportMetric(theirs.Seconds()/ours.Seconds(), ph.name+"-ratio")
	}
}

// BenchmarkNoChange times deploys of more and more objects of which none has changed:
//
//	go test ./plugins/kapp -run '^$' -bench NoChange -benchtime 5x
func BenchmarkNoChange(b *testing.B) {
	for _, n := range []int{300, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newPlace(b)
			manifests := mixed(n)
			p.deploy("", manifests)
			// What the cluster does with the objects by itself is over then.
			time.Sleep(5 * time.Second)
			for b.Loop() {
				if result, _, err := p.run("", manifests); err != nil || result.Skipped == "" {
					b.Fatal(result, err)
				}
			}
			b.StopTimer()
			p.delete()
		})
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
