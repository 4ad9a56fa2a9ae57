package kube

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// typesOf answers questions for types and counts them.
func typesOf(asked *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/api":
			reply(w, http.StatusOK, metav1.APIVersions{Versions: []string{"v1"}})
		case "/apis":
			reply(w, http.StatusOK, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
		case "/api/v1":
			reply(w, http.StatusOK, metav1.APIResourceList{
				TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1",
				APIResources: []metav1.APIResource{{Name: "configmaps", Kind: "ConfigMap", Namespaced: true}},
			})
		default:
			status(w, http.StatusNotFound, "NotFound", "no "+r.URL.Path)
		}
	}
}

func TestDiscovery(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T)
		// folder is where kubectl's files are expected, below the home folder.
		folder string
		again  int32
	}{
		"home":      {folder: ".kube/cache"},
		"own place": {prepare: func(t *testing.T) { t.Setenv("KUBECACHEDIR", filepath.Join(os.Getenv("HOME"), "other")) }, folder: "other"},
		"no home":   {prepare: func(t *testing.T) { t.Setenv("HOME", "") }, again: 3},
		"not writable": {prepare: func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".kube"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, again: 3},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s, config := server(t, typesOf(&asked))
			write(t, config)
			t.Setenv("KUBECACHEDIR", "")
			home := os.Getenv("HOME")
			if c.prepare != nil {
				c.prepare(t)
			}
			ask := func(fresh bool) {
				t.Helper()
				d, err := New(Options{}).Discovery(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if fresh {
					d.Invalidate()
				}
				for range 2 {
					_, lists, err := d.ServerGroupsAndResources()
					if err != nil || len(lists) != 1 || lists[0].APIResources[0].Kind != "ConfigMap" {
						t.Fatalf("found %v, %v", lists, err)
					}
				}
			}
			expect := func(when string, want int32) {
				t.Helper()
				if n := asked.Swap(0); n != want {
					t.Errorf("%s: expected %d questions, found %d", when, want, n)
				}
			}
			ask(false)
			expect("first", 3)
			ask(false)
			expect("second", c.again)
			ask(true)
			expect("invalidated", 3)
			if c.folder == "" {
				return
			}
			host := hostFolder(s.URL)
			for _, file := range []string{"servergroups.json", "v1/serverresources.json"} {
				if _, err := os.Stat(filepath.Join(home, c.folder, "discovery", host, file)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The names are those that kubectl gives.
func TestHostFolder(t *testing.T) {
	for host, want := range map[string]string{
		"https://127.0.0.1:6443":           "127.0.0.1_6443",
		"http://localhost:8080":            "localhost_8080",
		"https://k.example.com/clusters/a": "k.example.com/clusters/a",
		"https://[::1]:6443":               "___1__6443",
	} {
		if got := hostFolder(host); got != want {
			t.Errorf("%s: expected %s, found %s", host, want, got)
		}
	}
}
