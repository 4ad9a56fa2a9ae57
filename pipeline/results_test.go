package pipeline_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// memory keeps results.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func (m *memory) Note(kind, key string, into any) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.kept[kind+key]
	return ok && json.Unmarshal(text, into) == nil
}

func (m *memory) SetNote(kind, key string, value any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, err := json.Marshal(value)
	if err == nil {
		m.kept[kind+key] = text
	}
}

const cachedApp = head + `spec:
  fetch: [{path: src, write: a}]
  template: [{print: {write: "one\n"}}, {print: {write: "two\n"}}]
`

// A run with another workspace takes over what template steps have made, if it was made of the same.
func TestResultsAreKept(t *testing.T) {
	kept := &memory{kept: map[string][]byte{}}
	f := newFixture(t)
	f.opts.Results = kept
	run := func(app, workspace string) (string, []string) {
		t.Helper()
		f.opts.Workspace = filepath.Join(f.opts.Dir, workspace)
		plan, err := load("app.yaml", []byte(app), fakes(f.log))
		if err != nil {
			t.Fatal(err)
		}
		report, err := plan.Run(t.Context(), f.opts)
		if err != nil {
			t.Fatal(err)
		}
		return string(report.Manifests), f.log.take()
	}
	all := []string{"run fetch-src", "run template-print", "run template-print-2"}
	calls := func(got []string) []string {
		var runs []string
		for _, c := range got {
			if strings.HasPrefix(c, "run ") {
				runs = append(runs, c)
			}
		}
		return runs
	}
	first, got := run(cachedApp, "one")
	if diff := cmp.Diff(all, calls(got)); diff != "" {
		t.Errorf("first run (-want +got):\n%s", diff)
	}
	again, got := run(cachedApp, "two")
	if diff := cmp.Diff(all[:1], calls(got)); diff != "" || again != first {
		t.Errorf("other workspace: %q, want %q (-want +got):\n%s", again, first, diff)
	}
	if text := f.events.text(); !strings.Contains(text, "step-skipped template-print an earlier run has made the same, and the cache has it") {
		t.Errorf("events:\n%s", text)
	}
	f.log.source = "other"
	if _, got = run(cachedApp, "three"); cmp.Diff(all, calls(got)) != "" {
		t.Errorf("other sources: %v", got)
	}
	f.log.source = ""
	// What was spoilt is made again.
	for key := range kept.kept {
		kept.kept[key] = []byte(strings.Replace(string(kept.kept[key]), `"manifests":"`, `"manifests":"AAAA`, 1))
	}
	if again, got = run(cachedApp, "four"); cmp.Diff(all, calls(got)) != "" || again != first {
		t.Errorf("spoilt: %q, %v", again, got)
	}
}

// Nothing secret is kept: no Secrets, and nothing with a value that is one.
func TestResultsHoldNoSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"a Secret": `kind: Secret\nmetadata: {name: a}\ndata: {p: eA==}\n`, "one in a list": `items:\n- kind: \"Secret\"\n`, "one of JSON": `{\"kind\": \"Secret\"}\n`,
		"a hidden value": `kind: ConfigMap\ndata: {a: correct-horse}\n`,
	} {
		kept := &memory{kept: map[string][]byte{}}
		f := newFixture(t)
		f.opts.Results = kept
		plan, err := load("app.yaml", []byte(head+`spec:
  template: [{print: {write: "`+text+`"}}]
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {password: correct-horse}
`), fakes(f.log))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Run(t.Context(), f.opts); err != nil {
			t.Fatal(err)
		}
		if len(kept.kept) > 0 {
			t.Errorf("%s is kept", name)
		}
	}
}
