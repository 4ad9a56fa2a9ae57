package buildkit

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// cluster is an API server that answers with the handler.
func cluster(t *testing.T, h http.HandlerFunc) *kube.Cluster {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return kubeconfig(t, fmt.Sprintf("cluster: {server: %q, certificate-authority-data: %s}", s.URL, toJSON(t, ca)), "{token: sesame}")
}

func kubeconfig(t *testing.T, cluster, user string) *kube.Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("current-context: c\nclusters:\n- {name: c, %s}\nusers:\n- {name: u, user: %s}\ncontexts:\n- {name: c, context: {cluster: c, user: u}}\n", cluster, user)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return kube.New(kube.Options{Kubeconfig: file})
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	must(t, err)
	return string(data)
}

// pod is a pod as an API server shows it.
func pod(namespace, name, phase, ready string) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"status": map[string]any{
			"phase": phase, "conditions": []any{map[string]any{"type": "Ready", "status": ready}},
		},
	}
}

func reply(t *testing.T, w http.ResponseWriter, code int, v any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(toJSON(t, v)))
}

func forbid(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	reply(t, w, http.StatusForbidden, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "pods is forbidden"})
}

func TestDiscover(t *testing.T) {
	deleted := pod("b", "deleted", "Running", "True")
	deleted["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	all := []any{
		pod("b", "buildkitd-0", "Running", "True"), pod("b", "buildkitd-1", "Running", "True"), pod("c", "other", "Running", "True"),
		pod("b", "starting", "Running", "False"), pod("b", "pending", "Pending", "False"), pod("b", "done", "Succeeded", "False"), deleted,
	}
	for name, c := range map[string]struct {
		pods *Pods
		// forbidden are namespaces whose pods may not be listed; “” is all of them.
		forbidden []string
		none      bool
		want      string
		asked     string
		err, hint string
	}{
		"unasked": {
			want:  "kube-pod://buildkitd-0?namespace=b kube-pod://buildkitd-1?namespace=b",
			asked: "/api/v1/namespaces/b/pods app.kubernetes.io/name=buildkitd",
		},
		"everywhere": {
			pods:  &Pods{},
			want:  "kube-pod://buildkitd-0?namespace=b kube-pod://buildkitd-1?namespace=b kube-pod://other?namespace=c",
			asked: "/api/v1/pods app.kubernetes.io/name=buildkitd",
		},
		"a namespace": {
			pods:  &Pods{Namespace: "b", Selector: "a=b,c!=d", Container: "main", Port: 1234},
			want:  "kube-pod://buildkitd-0?container=main&namespace=b&port=1234 kube-pod://buildkitd-1?container=main&namespace=b&port=1234",
			asked: "/api/v1/namespaces/b/pods a=b,c!=d",
		},
		"all forbidden": {
			pods: &Pods{}, forbidden: []string{""},
			want:  "kube-pod://buildkitd-0?namespace=b kube-pod://buildkitd-1?namespace=b",
			asked: "/api/v1/pods app.kubernetes.io/name=buildkitd, /api/v1/namespaces/b/pods app.kubernetes.io/name=buildkitd",
		},
		"own forbidden too": {
			pods: &Pods{}, forbidden: []string{"", "b"},
			asked: "/api/v1/pods app.kubernetes.io/name=buildkitd, /api/v1/namespaces/b/pods app.kubernetes.io/name=buildkitd",
			err:   "BuildKit daemons can't be looked for: pods of namespace b at ", hint: "the right to list pods",
		},
		"named namespace forbidden": {
			pods: &Pods{Namespace: "c"}, forbidden: []string{"c"},
			asked: "/api/v1/namespaces/c/pods app.kubernetes.io/name=buildkitd",
			err:   "BuildKit daemons can't be looked for: pods of namespace c at ", hint: "the right to list pods",
		},
		"none": {
			none: true, asked: "/api/v1/namespaces/b/pods app.kubernetes.io/name=buildkitd",
			err: "none is named, and no pod in namespace b with the labels app.kubernetes.io/name=buildkitd is ready", hint: "--buildkit-addr",
		},
		"none in the namespace": {
			none: true, pods: &Pods{Namespace: "b"}, asked: "/api/v1/namespaces/b/pods app.kubernetes.io/name=buildkitd",
			err: "BuildKit daemons can't be looked for: no pod in namespace b with the labels app.kubernetes.io/name=buildkitd is ready",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			server := cluster(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path+" "+r.URL.Query().Get("labelSelector"))
				namespace, _ := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/pods"), "/api/v1")
				namespace = strings.TrimPrefix(namespace, "/namespaces/")
				if slices.Contains(c.forbidden, namespace) {
					forbid(t, w)
					return
				}
				items := []any{}
				for _, p := range all {
					if in := p.(map[string]any)["metadata"].(map[string]any)["namespace"]; !c.none && (namespace == "" || namespace == in) {
						items = append(items, p)
					}
				}
				reply(t, w, http.StatusOK, map[string]any{"kind": "PodList", "apiVersion": "v1", "items": items})
			})
			client := New(ClientOptions{Cluster: server, Getenv: func(string) string { return "" }})
			daemons, err := client.Daemons(t.Context(), Choice{Pods: c.pods, Namespace: "b"}, quiet{})
			var got []string
			for _, d := range daemons {
				got = append(got, d.Address)
				must(t, CheckAddress(d.Address))
			}
			if strings.Join(got, " ") != c.want || strings.Join(asked, ", ") != c.asked {
				t.Errorf("got %q, asked %q", got, asked)
			}
			if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(stages.Hint(err), c.hint)) {
				t.Errorf("error: %v (hint: %s)", err, stages.Hint(err))
			}
		})
	}
}

// What the App, the flag or the environment name is used, and no cluster asked.
func TestNoDiscoveryWhenOneIsNamed(t *testing.T) {
	server := cluster(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })
	for env, c := range map[string]*Client{
		"":            New(ClientOptions{Cluster: server, Address: "unix:///flag", Getenv: func(string) string { return "" }}),
		"unix:///env": New(ClientOptions{Cluster: server, Getenv: func(string) string { return "unix:///env" }}),
	} {
		if _, err := c.Daemons(t.Context(), Choice{}, quiet{}); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// Nothing hangs where there is a kubeconfig and no cluster.
func TestDiscoverTakesSeconds(t *testing.T) {
	for name, c := range map[string]struct {
		cluster *kube.Cluster
		want    string
	}{
		"nobody listens": {kubeconfig(t, "cluster: {server: 'https://127.0.0.1:1'}", "{}"), "connection refused"},
		"no kubeconfig":  {kube.New(kube.Options{Kubeconfig: filepath.Join(t.TempDir(), "none")}), "no such file"},
		"silent":         {cluster(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "doesn't answer within 5s"},
		"login hangs": {kubeconfig(t, "cluster: {server: 'https://127.0.0.1:1'}",
			"{exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ['7'], interactiveMode: Never}}"), "doesn't answer within 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			client := New(ClientOptions{Cluster: c.cluster, Getenv: func(string) string { return "" }})
			_, err := client.Daemons(t.Context(), Choice{}, quiet{})
			if err == nil || !strings.HasPrefix(err.Error(), "no BuildKit daemon is known to build with: none is named, and ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v", err)
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
