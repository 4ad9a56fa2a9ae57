package ssa

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// owned are the names of the app's ConfigMaps, in all namespaces.
func (p *place) owned() []string {
	p.t.Helper()
	selector := fmt.Sprintf("%s=%s,%s=%s", ownerName, p.app.Name, ownerNamespace, p.app.Namespace)
	list, err := p.core.CoreV1().ConfigMaps("").List(p.t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, m := range list.Items {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// exactly compares the app's ConfigMaps and inventory with manifests.
func (p *place) exactly(manifests string) {
	p.t.Helper()
	var want, inventoried []string
	for line := range strings.SplitSeq(manifests, "\n") {
		if _, name, ok := strings.Cut(line, "metadata: {name: "); ok {
			want = append(want, strings.FieldsFunc(name, func(r rune) bool { return r == '}' || r == ',' })[0])
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, p.owned()); diff != "" {
		p.t.Errorf("%s: objects (-want +got):\n%s", p.app.Name, diff)
	}
	for _, i := range p.inventory().ids() {
		inventoried = append(inventoried, i.name)
	}
	slices.Sort(inventoried)
	if diff := cmp.Diff(want, inventoried); diff != "" {
		p.t.Errorf("%s: inventory (-want +got):\n%s", p.app.Name, diff)
	}
}

// unlock removes the lock that a killed deploy has left.
func (p *place) unlock() {
	_ = p.core.CoordinationV1().Leases(p.namespace).Delete(p.t.Context(), inventoryPrefix+p.app.Name, metav1.DeleteOptions{})
}

// TestRandom makes random deploys of several apps that share namespaces and sometimes want each other's
// objects. None ever loses an object to another.
func TestRandom(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	second := p.namespace + "-b"
	p.addNamespace(second)
	random := rand.New(rand.NewPCG(*seed, 1))
	apps := []string{"a", "b", "c"}
	have := map[string]map[string]string{}
	refused := 0
	for n := range *runs {
		app := apps[random.IntN(len(apps))]
		q := *p
		q.app.Name, q.limits = app, stages.Limits{MaxPrune: 100, AllowEmpty: true}
		want := map[string]string{}
		for range random.IntN(5) {
			// Mostly its own, now and then a name that others want too.
			name := fmt.Sprintf("%s%d", app, random.IntN(4))
			if random.IntN(4) == 0 {
				name = fmt.Sprintf("shared%d", random.IntN(2))
			}
			want[name] = fmt.Sprint(random.IntN(2))
		}
		text, taken := "", false
		for _, name := range slices.Sorted(maps.Keys(want)) {
			ns := p.namespace
			if strings.HasSuffix(name, "1") {
				ns = second
			}
			text += strings.Replace(configMap(name, want[name]), "{name: "+name+"}", "{name: "+name+", namespace: "+ns+"}", 1)
			for other, names := range have {
				if _, ok := names[name]; ok && other != app {
					taken = true
				}
			}
		}
		if random.IntN(8) == 0 {
			q.delete()
			delete(have, app)
		} else if _, _, err := q.run("", text); taken {
			q.says(err, "belongs to inventory")
			refused++
		} else if err != nil {
			t.Fatalf("run %d of %s: %v", n, app, err)
		} else {
			have[app] = want
		}
		for _, other := range apps {
			q.app.Name = other
			if got, want := q.owned(), slices.Sorted(maps.Keys(have[other])); !slices.Equal(got, want) {
				t.Fatalf("run %d of %s, seed %d: app %s has %v, expected %v", n, app, *seed, other, got, want)
			}
		}
	}
	t.Logf("%d deploys, %d refused", *runs, refused)
}
