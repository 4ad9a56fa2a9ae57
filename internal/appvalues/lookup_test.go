package appvalues

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// cluster is one that counts how often it is asked.
type cluster struct {
	asked int
	err   error
}

func (c *cluster) Version(context.Context) (string, error) {
	c.asked++
	return "1.36.3", c.err
}

func (c *cluster) GroupVersions(context.Context) ([]string, error) {
	c.asked++
	return []string{"v1", "apps/v1"}, c.err
}

// sources decodes a valuesFrom.
func sources(t testing.TB, text string) []Source {
	t.Helper()
	var config struct {
		ValuesFrom []Source `json:"valuesFrom"`
	}
	if err := schema.Decode(stagetest.Node(t, "valuesFrom:\n"+text), &config); err != nil {
		t.Fatal(err)
	}
	return config.ValuesFrom
}

const facts = `
- downwardAPI:
    items:
    - {name: version, kubernetesVersion: {}}
    - {name: apis, kubernetesAPIs: {}}
    - {name: kc, kappControllerVersion: {}}
`

func TestFactsOfTheCluster(t *testing.T) {
	job := stagetest.NewJob(t, stagetest.Case{Target: &cluster{}})
	files, err := NewLookup(job).Files(t.Context(), &sources(t, facts)[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Base+" "+string(f.Data))
	}
	want := []string{
		`downwardapi_0.yaml {"version":"1.36.3"}`,
		`downwardapi_1.yaml {"apis":["v1","apps/v1"]}`,
		`downwardapi_2.yaml {"kc":"` + KappControllerVersion + `"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values differ (-want +got):\n%s", diff)
	}
}

func TestGivenFactsAskNoCluster(t *testing.T) {
	const given = `
- downwardAPI:
    items:
    - {name: a, kubernetesVersion: {version: "1.30"}}
    - {name: b, kubernetesAPIs: {groupVersions: [v1]}}
    - {name: c, fieldPath: metadata.name}
- path: not-there
`
	c := &cluster{}
	l := NewLookup(stagetest.NewJob(t, stagetest.Case{Target: c}))
	if err := l.Check(t.Context(), sources(t, given)); err != nil {
		t.Fatal(err)
	}
	if c.asked > 0 {
		t.Errorf("expected no question to the cluster, found %d", c.asked)
	}
}

func TestClusterThatCantTell(t *testing.T) {
	for name, target := range map[string]stages.Target{
		"none": nil, "down": &cluster{err: stages.WithHint(errors.New("can't be reached"), "is it running?")},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLookup(stagetest.NewJob(t, stagetest.Case{Target: target}))
			err := l.Check(t.Context(), sources(t, facts))
			if err == nil || !strings.Contains(err.Error(), "valuesFrom[0]: version: ") {
				t.Fatalf("expected an error with the place, found %v", err)
			}
			if !strings.Contains(stages.Hint(err), "kubernetesVersion: {version: ") {
				t.Errorf("expected a hint on how to do without a cluster, found %q", stages.Hint(err))
			}
		})
	}
}

func TestKeyFollowsTheCluster(t *testing.T) {
	key := func(target stages.Target) string {
		var b bytes.Buffer
		job := stagetest.NewJob(t, stagetest.Case{Target: target})
		if err := NewLookup(job).WriteKey(t.Context(), &b, sources(t, facts)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := key(&cluster{})
	if key(&cluster{}) != first {
		t.Error("expected equal keys for equal facts")
	}
	if key(otherCluster{}) == first {
		t.Error("expected another key for another version")
	}
}

type otherCluster struct{}

func (otherCluster) Version(context.Context) (string, error) { return "1.37.0", nil }

func (otherCluster) GroupVersions(context.Context) ([]string, error) {
	return []string{"v1", "apps/v1"}, nil
}

// What “kappControllerVersion: {}” gives is the release whose types the fetch stage is tested with.
func TestKappControllerVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "carvel-kapp-controller v" + KappControllerVersion + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod doesn't have %q", want)
	}
}

func TestCheckPaths(t *testing.T) {
	tests := map[string]string{
		"{path: a/b.yml}, {path: '-'}": "",
		"{path: '-'}, {path: '-'}":     "test.yaml:1:34: valuesFrom[1].path: “-” is given twice",
		"{path: ../a}":                 "test.yaml:1:21: valuesFrom[0].path: ../a: leads out of the App's folder",
	}
	for text, want := range tests {
		node := stagetest.Node(t, "valuesFrom: ["+text+"]")
		var config struct {
			ValuesFrom []Source `json:"valuesFrom"`
		}
		if err := schema.Decode(node, &config); err != nil {
			t.Fatal(err)
		}
		err := CheckPaths(node, config.ValuesFrom)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, found %v", text, want, err)
		}
	}
}
