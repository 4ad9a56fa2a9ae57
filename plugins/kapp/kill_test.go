package kapp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// childKey makes the test program deploy what it reads from standard input into the namespace that the
// variable names, so that it can be killed.
const childKey = "STRAKE_TEST_DEPLOY"

type silent struct{}

func (silent) Observe(stages.Event) {}

// deployAsChild is the program of the child.
func deployAsChild(namespace string) error {
	manifests, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	step, err := Plugin(Deps{Cluster: kube.New(kube.Options{})}).New(nil)
	if err != nil {
		return err
	}
	_, err = step.Run(context.Background(), &stages.Job{
		App: stages.App{Name: "app", Namespace: namespace}, Manifests: manifests, Events: silent{}, Hide: func([]byte) {},
	})
	return err
}

// TestKilled kills deploys, some of which prune, at random moments, and checks that the app's record can be
// read afterwards, and that a later deploy brings everything to where it has to be and leaves nothing behind.
// With -rounds 200 it kills two hundred.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	variants := make([]map[string]string, 3)
	for v := range variants {
		variants[v] = map[string]string{}
		for i := range 25 {
			// Two thirds of the objects are common to all, with other values.
			name := fmt.Sprintf("o%d", i)
			if i%3 == 0 {
				name = fmt.Sprintf("o%d-%d", v, i)
			}
			variants[v][name] = fmt.Sprint(v)
		}
	}
	longest := 1500 * time.Millisecond
	for round := range *rounds {
		r := dice(t, round)
		want := variants[r.IntN(len(variants))]
		p.killed(r, manifestsOf(want), longest)
		p.recordIsWhole()
		// The lock of who was killed would be waited for until it expires.
		err := p.core.CoordinationV1().Leases(p.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) > 0 {
			continue
		}
		want = variants[r.IntN(len(variants))]
		began := time.Now()
		p.deploy("", manifestsOf(want))
		longest = max(longest/2, min(longest, 2*time.Since(began)))
		list, err := p.core.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kapp.k14s.io/association"})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, m := range list.Items {
			got[m.Name] = m.Data["value"]
		}
		if !maps.Equal(got, want) {
			t.Fatalf("expected %v, found %v", want, got)
		}
	}
}

// killed runs a deploy in another process and kills it after a random time.
func (p *place) killed(r *rand.Rand, manifests string, longest time.Duration) {
	p.t.Helper()
	program, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	child := exec.CommandContext(p.t.Context(), program)
	child.Env = append(os.Environ(), childKey+"="+p.namespace)
	child.Stdin = strings.NewReader(manifests)
	if err := child.Start(); err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(time.Duration(r.Int64N(int64(longest))))
	_ = child.Process.Kill()
	_ = child.Wait()
}

// recordIsWhole checks the app's record, if there is one.
func (p *place) recordIsWhole() {
	p.t.Helper()
	m := p.configMap("app")
	if m == nil {
		return
	}
	meta, err := ctlapp.NewAppMetaFromData(m.Data)
	if err != nil || meta.LabelValue == "" {
		p.t.Fatalf("the record is torn: %v\n%v", err, m.Data)
	}
	if text, ok := m.Data[noteKey]; ok && !json.Valid([]byte(text)) {
		p.t.Fatalf("the note is torn: %s", text)
	}
}
