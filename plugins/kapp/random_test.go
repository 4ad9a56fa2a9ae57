package kapp

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"

	"strake.dev/strake/internal/thorough"
	"strake.dev/strake/stages"
)

var (
	rounds = flag.Int("rounds", thorough.Times(10, 25), "how often tests with random input repeat")
	seed   = flag.Uint64("seed", 0, "the first random input; 0 is another one each time")
)

// dice returns the randomness of a round, and logs how to get it again.
func dice(t *testing.T, round int) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	s += uint64(round)
	t.Logf("round %d: -seed %d", round, s)
	return rand.New(rand.NewPCG(s, 0))
}

// TestDrifts changes something between plan and apply, at random, and checks that the plan is applied
// exactly or not at all, and that what was changed is named. With -rounds 1000 it runs a thousand times.
func TestDrifts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	proxy := p.proxied()
	base := map[string]string{"a": "1", "b": "1", "c": "1", "d": "1", "e": "1"}
	p.deploy("", manifestsOf(base))
	for round := range *rounds {
		r := dice(t, round)
		want := maps.Clone(base)
		for range 1 + r.IntN(3) {
			switch name := pick(r, "a", "b", "c", "d", "e", "f"); r.IntN(3) {
			case 0:
				delete(want, name)
			default:
				want[name] = fmt.Sprint(r.IntN(1000))
			}
		}
		saver := p.step("").(stages.Saver)
		saved, err := saver.Save(t.Context(), p.job(manifestsOf(want)))
		if err != nil {
			t.Fatal(err)
		}
		drifted := p.drift(r)
		seen := proxy.record()
		_, err = saver.Apply(t.Context(), p.job(manifestsOf(want)), saved)
		writes := seen()
		var refused *stages.RefusedError
		switch {
		case errors.As(err, &refused):
			if len(writes) > 0 {
				t.Errorf("refused, and wrote %v", writes)
			}
			if drifted == "" || !strings.Contains(err.Error(), "configmap/"+drifted+" ") {
				t.Errorf("drifted: %q, refused: %v", drifted, err)
			}
		case err != nil:
			t.Errorf("drifted: %q: %v", drifted, err)
		default:
			if diff := unplanned(saved, writes); len(diff) > 0 {
				t.Errorf("drifted: %q, planned %v, and wrote %v", drifted, saved.Writes, diff)
			}
			if changes := p.plan("", manifestsOf(want)); len(changes) > 0 {
				t.Errorf("drifted: %q, applied, and changes are left: %v", drifted, changes)
			}
		}
		if t.Failed() {
			return
		}
		p.deploy("", manifestsOf(base))
	}
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// manifestsOf are ConfigMaps with a value each.
func manifestsOf(values map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.WriteString(configMap(name, values[name]))
	}
	return b.String()
}

// drift changes an object of the app, or not, and returns its name if a deployer has to notice.
func (p *place) drift(r *rand.Rand) string {
	p.t.Helper()
	api := p.core.CoreV1().ConfigMaps(p.namespace)
	name := pick(r, "a", "b", "c", "d", "e")
	patch := func(text string) {
		p.t.Helper()
		if _, err := api.Patch(p.t.Context(), name, apitypes.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
			p.t.Fatal(err)
		}
	}
	switch r.IntN(7) {
	case 0:
		patch(fmt.Sprintf(`{"data":{"value":"drift-%d"}}`, r.IntN(1000)))
	case 1:
		patch(fmt.Sprintf(`{"data":{"extra":"drift-%d"}}`, r.IntN(1000)))
	case 2:
		patch(`{"metadata":{"labels":{"drift":"1"}}}`)
	case 3:
		patch(`{"metadata":{"annotations":{"drift":"1"}}}`)
	case 4:
		if err := api.Delete(p.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			p.t.Fatal(err)
		}
	case 5:
		_, err := api.Create(p.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "stranger-"}}, metav1.CreateOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
		return ""
	default:
		return ""
	}
	return name
}

// record remembers the objects that are written to through the proxy, until the returned function is
// called. What belongs to the records of the app is left out.
func (x *apiProxy) record() func() []string {
	var writes []string
	x.set(func(_ http.ResponseWriter, r *http.Request) bool {
		own := strings.Contains(r.URL.Path, "/leases") || strings.Contains(r.URL.Path, "/secrets") ||
			strings.Contains(r.URL.Path, "/configmaps/app") || strings.Contains(r.URL.Path, "authorization.k8s.io")
		if r.Method == http.MethodGet || own {
			return false
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		writes = append(writes, r.Method+" "+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		return false
	})
	return func() []string {
		x.set(nil)
		x.mu.Lock()
		defer x.mu.Unlock()
		return writes
	}
}

// unplanned returns the writes that a plan doesn't have. The creation of objects, and of kapp's record of
// the change, is known by its number only.
func unplanned(saved *stages.Saved, writes []string) []string {
	planned := map[string]int{"POST configmaps": 1}
	for _, w := range saved.Writes {
		switch w.Op {
		case "create":
			planned["POST configmaps"]++
			planned["PUT "+w.Object.Name]++
		case "update":
			planned["PUT "+w.Object.Name] += 2
		case "delete":
			planned["DELETE "+w.Object.Name]++
		}
	}
	var left []string
	for _, w := range writes {
		if planned[w]--; planned[w] < 0 {
			left = append(left, w)
		}
	}
	return left
}

// TestSharedNamespaces deploys several apps with random objects into the same two namespaces, of which
// some are wanted by more than one, and checks that each app only ever changes its own. With -rounds 1000
// it makes a thousand deploys.
func TestSharedNamespaces(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	second := p.namespace + "-b"
	p.addNamespace(second)
	// owners are the apps that have the objects, and values what they hold.
	owners, values := map[string]string{}, map[string]string{}
	for round := range *rounds {
		r := dice(t, round)
		app := pick(r, "app-x", "app-y", "app-z")
		p.app.Name = app
		if r.IntN(10) == 0 {
			p.delete()
			for o, owner := range owners {
				if owner == app {
					delete(owners, o)
					delete(values, o)
				}
			}
		} else {
			want := map[string]string{}
			for range 1 + r.IntN(5) {
				want[pick(r, p.namespace, second)+"/"+pick(r, "o1", "o2", "o3", "o4", "o5", "o6", "o7")] = fmt.Sprint(r.IntN(100))
			}
			var b strings.Builder
			taken := ""
			for _, o := range slices.Sorted(maps.Keys(want)) {
				ns, name, _ := strings.Cut(o, "/")
				b.WriteString(strings.Replace(configMap(name, want[o]), "metadata: {", "metadata: {namespace: "+ns+", ", 1))
				if owner := owners[o]; owner != "" && owner != app {
					taken = name
				}
			}
			_, _, err := p.run("", b.String())
			switch {
			case taken != "":
				if err == nil || !strings.Contains(err.Error(), "configmap/"+taken+" ") || !strings.Contains(err.Error(), "belongs to the app app-") {
					t.Fatalf("%s took configmap/%s of another app: %v", app, taken, err)
				}
			case err != nil:
				t.Fatal(err)
			default:
				for o, owner := range owners {
					if owner == app {
						delete(owners, o)
						delete(values, o)
					}
				}
				for o, v := range want {
					owners[o], values[o] = app, v
				}
			}
		}
		got := map[string]string{}
		for _, ns := range []string{p.namespace, second} {
			list, err := p.core.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "kapp.k14s.io/association"})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list.Items {
				got[ns+"/"+m.Name] = m.Data["value"]
			}
		}
		if !maps.Equal(got, values) {
			t.Fatalf("after a deploy of %s: expected %v, found %v", app, values, got)
		}
	}
}
