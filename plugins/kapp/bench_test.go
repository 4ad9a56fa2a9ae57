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

// running is how many of the Deployments run a pod: what is compared is the deploying tool, not the node.
// The image is there already.
const running = 1

// mixed are n objects of eleven kinds, as an app of many small parts has them.
func mixed(n int) string {
	kinds := []struct {
		share int // in percent
		text  string
	}{
		{44, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata:\n  app.properties: |\n    name=NAME\n    level=info\n    retries=3\n  other: \"NAME\"\n"},
		{17, "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME, labels: {part: \"NAME\"}}\nstringData: {password: \"secret-of-NAME\", user: app}\n"},
		{10, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: NAME}\n"},
		{7, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: NAME}\nrules:\n- {apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, watch]}\n"},
		{7, "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: NAME}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: NAME}\nsubjects: [{kind: ServiceAccount, name: NAME}]\n"},
		{5, "apiVersion: v1\nkind: Service\nmetadata: {name: NAME}\nspec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}\n"},
		{5, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\nspec:\n  replicas: REPLICAS\n  selector: {matchLabels: {app: NAME}}\n  template:\n    metadata: {labels: {app: NAME}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n      - {name: main, image: docker.io/library/busybox:latest, imagePullPolicy: IfNotPresent, command: [sleep, \"100000\"], ports: [{containerPort: 8080}], env: [{name: A, value: b}]}\n"},
		{2, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME}\nspec: {podSelector: {matchLabels: {app: NAME}}, policyTypes: [Ingress]}\n"},
		{1, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: NAME}\nspec: {rules: [{host: NAME.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 80}}}}]}}]}\n"},
		{1, "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: NAME}\nspec: {schedule: \"0 3 * * *\", suspend: true, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: \"registry.example.com/job:1\"}]}}}}}\n"},
		{1, "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: NAME}\nspec: {minAvailable: 1, selector: {matchLabels: {app: NAME}}}\n"},
	}
	var b strings.Builder
	for _, k := range kinds {
		for i := range max(n*k.share/100, 1) {
			b.WriteString("---\n")
			replicas := "0"
			if i < running {
				replicas = "1"
			}
			b.WriteString(strings.NewReplacer("NAME", fmt.Sprintf("part-%d", i), "REPLICAS", replicas).Replace(k.text))
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
	// A workload that runs no pod is changed, so that no pod has to be waited for.
	at := strings.LastIndex(manifests, "value: b}")
	changed := manifests[:at] + "value: c}" + manifests[at+len("value: b}"):]
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
	for _, t := range tools {
		round(t, true)
	}
	for b.Loop() {
		for _, t := range tools {
			round(t, false)
		}
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
