package ssa

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	fluxssa "github.com/fluxcd/pkg/ssa"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// fleet are so many objects of mixed kinds that need no pods.
func fleet(n int, value string) string {
	var b strings.Builder
	for k := range n {
		switch k % 6 {
		case 0, 1:
			b.WriteString(configMap(fmt.Sprintf("m%d", k), value))
		case 2:
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s%d}\nstringData: {value: %q}\n", k, value)
		case 3:
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: v%d, annotations: {value: %q}}\nspec: {clusterIP: None, ports: [{port: 80}]}\n", k, value)
		case 4:
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a%d, annotations: {value: %q}}\n", k, value)
		default:
			fmt.Fprintf(&b, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, annotations: {value: %q}}\nspec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}\n", k, value)
		}
	}
	return b.String()
}

// BenchmarkFleet300 deploys 300 objects first, compares them with a third changed, deploys them again, then changed, and deletes them; beside it the
// library is used as Kustomizer does: one object after the other, with client-go's default limits. Neither
// waits for objects to be ready, which takes as long as the cluster's controllers take.
func BenchmarkFleet300(b *testing.B) {
	const size, changed, noWait = 300, 100, "wait: false"
	first := fleet(size, "1")
	second := fleet(changed, "2") + strings.TrimPrefix(first, fleet(changed, "1"))
	totals := map[string][2]time.Duration{}
	for b.Loop() {
		p, q := newPlace(b), newPlace(b)
		theirs := newLibrary(b, q.namespace)
		for _, phase := range []struct {
			name         string
			ours, theirs func()
		}{
			{"first", func() { p.deploy(noWait, first) }, func() { theirs.apply(first) }},
			{"diff", func() { p.plan(noWait, second) }, func() { theirs.diff(second) }},
			{"nothing to do", func() { p.nothing(noWait, first) }, func() { theirs.apply(first) }},
			{"a third changed", func() { p.deploy(noWait, second) }, func() { theirs.apply(second) }},
			{"delete", p.delete, func() { theirs.delete(second) }},
		} {
			began := time.Now()
			phase.ours()
			ours := time.Since(began)
			began = time.Now()
			phase.theirs()
			t := totals[phase.name]
			totals[phase.name] = [2]time.Duration{t[0] + ours, t[1] + time.Since(began)}
		}
	}
	for name, t := range totals {
		unit := strings.ReplaceAll(name, " ", "-")
		b.ReportMetric(t[0].Seconds()/float64(b.N), unit+"-s")
		b.ReportMetric(t[1].Seconds()/t[0].Seconds(), unit+"-ratio")
	}
}

// library is Flux' library used as Kustomizer does.
type library struct {
	b         *testing.B
	manager   *fluxssa.ResourceManager
	namespace string
}

func newLibrary(b *testing.B, namespace string) *library {
	b.Helper()
	config, err := kube.New(kube.Options{}).Config(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	config.QPS, config.Burst = 50, 100
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(core.Discovery()))
	c, err := client.New(config, client.Options{Mapper: mapper})
	if err != nil {
		b.Fatal(err)
	}
	poller := polling.NewStatusPoller(c, mapper, polling.Options{})
	return &library{b, fluxssa.NewResourceManager(c, poller, fluxssa.Owner{Field: createdBy, Group: ownerGroup}), namespace}
}

func (l *library) objects(manifests string) []*unstructured.Unstructured {
	l.b.Helper()
	items, err := parse("manifests", stages.Manifests(manifests))
	if err != nil {
		l.b.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, i := range items {
		i.want.SetNamespace(l.namespace)
		objects = append(objects, i.want)
	}
	l.manager.SetOwnerLabels(objects, "app", l.namespace)
	sort.Sort(fluxssa.SortableUnstructureds(objects))
	return objects
}

func (l *library) apply(manifests string) {
	l.b.Helper()
	objects := l.objects(manifests)
	for _, o := range objects {
		if _, err := l.manager.Apply(l.b.Context(), o, fluxssa.DefaultApplyOptions()); err != nil {
			l.b.Fatal(err)
		}
	}
}

func (l *library) diff(manifests string) {
	l.b.Helper()
	for _, o := range l.objects(manifests) {
		if _, _, _, err := l.manager.Diff(l.b.Context(), o, fluxssa.DefaultDiffOptions()); err != nil {
			l.b.Fatal(err)
		}
	}
}

func (l *library) delete(manifests string) {
	l.b.Helper()
	objects := l.objects(manifests)
	for _, o := range objects {
		if _, err := l.manager.Delete(l.b.Context(), o, fluxssa.DefaultDeleteOptions()); err != nil {
			l.b.Fatal(err)
		}
	}
	if err := l.manager.WaitForTermination(objects, fluxssa.DefaultWaitOptions()); err != nil {
		l.b.Fatal(err)
	}
}
