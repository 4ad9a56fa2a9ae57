package ssa

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A counter writes down the requests that go through it.
type counter struct {
	next http.RoundTripper
	mu   *sync.Mutex
	seen *[]string
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	*c.seen = append(*c.seen, r.Method+" "+r.URL.Path)
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

// TestRequests counts what it costs that there is nothing to do, or little.
func TestRequests(t *testing.T) {
	p := newPlace(t)
	// What the server's types are is remembered in a file.
	t.Setenv("KUBECACHEDIR", t.TempDir())
	var (
		mu   sync.Mutex
		seen []string
	)
	p.deps.Cluster = clusterThrough(t, func(next http.RoundTripper) http.RoundTripper { return counter{next, &mu, &seen} })
	var all string
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		all += configMap(n, "1") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + n + "}\nspec: {ports: [{port: 80}]}\n" +
			"---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + n + "}\n"
	}
	p.deploy("", all)
	seen = nil
	p.nothing("", all)
	if len(seen) > 3+1 {
		t.Errorf("expected at most one request for each of 3 kinds and one for the inventory, found %d:\n%s", len(seen), strings.Join(seen, "\n"))
	}
	for _, r := range seen {
		if !strings.HasPrefix(r, "GET ") {
			t.Errorf("not a read: %s", r)
		}
	}
	seen = nil
	p.deploy("", strings.Replace(all, configMap("a", "1"), configMap("a", "2"), 1))
	t.Logf("a change of one of 21 objects: %d requests\n%s", len(seen), strings.Join(seen, "\n"))
	if len(seen) > 30 {
		t.Errorf("a change of one object takes %d requests", len(seen))
	}
}
