package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStepsKeepOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	record := func(name string) func(context.Context) error {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}
	}
	err := runSteps(t.Context(), []step{
		{"c", []string{"a", "b"}, record("c")},
		{"b", []string{"a"}, record("b")},
		{"a", nil, record("a")},
	})
	if err != nil || !slices.Equal(order, []string{"a", "b", "c"}) {
		t.Errorf("order %v, %v", order, err)
	}
}

func TestFailedStepStopsOthers(t *testing.T) {
	err := runSteps(t.Context(), []step{
		{"bad", nil, func(context.Context) error { return errors.New("broken") }},
		{"slow", nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		{"after", []string{"bad"}, func(context.Context) error { t.Error("ran"); return nil }},
	})
	if err == nil || err.Error() != "bad: broken" {
		t.Errorf("got %v", err)
	}
}

func TestUnknownStepIsAnError(t *testing.T) {
	if err := runSteps(t.Context(), []step{{"a", []string{"none"}, nil}}); err == nil {
		t.Error("no error")
	}
}

func TestNodeReady(t *testing.T) {
	started := time.Date(2020, 1, 1, 0, 0, 10, 5e8, time.UTC)
	condition := func(status, heartbeat string) string {
		return fmt.Sprintf(`"status":{"conditions":[{"type":"Ready","status":%q,"lastHeartbeatTime":%q,"message":"m"}]}`, status, heartbeat)
	}
	for name, test := range map[string]struct{ object, want string }{
		"ready":      {"{" + condition("True", "2020-01-01T00:00:10Z") + "}", ""},
		"stale":      {"{" + condition("True", "2020-01-01T00:00:09Z") + "}", "since it was started"},
		"not ready":  {"{" + condition("False", "2020-01-01T00:00:11Z") + "}", "not ready: m"},
		"tainted":    {`{"spec":{"taints":[{"key":"k"}]},` + condition("True", "2020-01-01T00:00:11Z") + "}", "taint k"},
		"no reports": {`{}`, "not reported yet"},
	} {
		var n node
		if err := json.Unmarshal([]byte(test.object), &n); err != nil {
			t.Fatal(err)
		}
		err := n.ready(started)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestTailShowsThisStartOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	before := "old line\n"
	if err := os.WriteFile(path, []byte(before+"new line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tail(path, int64(len(before)))
	if strings.Contains(got, "old") || !strings.Contains(got, "    new line") {
		t.Errorf("tail: %q", got)
	}
	if got := tail(path+"x", 0); !strings.Contains(got, "no log") {
		t.Errorf("tail of nothing: %q", got)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("a long line of a log\n", 1<<15)), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(tail(path, 0), "\n"); lines != tailLines {
		t.Errorf("tail has %d lines, want %d", lines, tailLines)
	}
}

func TestEnvironmentAvoidsProxies(t *testing.T) {
	t.Setenv("NO_PROXY", "example.test")
	t.Setenv("HTTPS_PROXY", "http://proxy.test")
	t.Setenv("KUBECONFIG", "/other")
	t.Setenv("STRAKE_SANDBOX_HOME", t.TempDir())
	s, err := Open("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	l := s.layout(testState())
	env := strings.Join(environment("/programs", l), "\n")
	for _, want := range []string{"PATH=/programs:", "NO_PROXY=127.0.0.1,localhost,10.200.3.0/24,10.96.0.1,example.test", "HTTPS_PROXY=http://proxy.test"} {
		if !strings.Contains(env, want) {
			t.Errorf("environment lacks %s:\n%s", want, env)
		}
	}
	if strings.Contains(env, "KUBECONFIG") {
		t.Errorf("environment has the user's KUBECONFIG:\n%s", env)
	}
}

func TestEnvOfMissingInstance(t *testing.T) {
	t.Setenv("STRAKE_SANDBOX_HOME", t.TempDir())
	s, err := Open("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Env(); !errors.Is(err, ErrNotCreated) || !strings.Contains(err.Error(), "run up") {
		t.Errorf("got %v", err)
	}
}

func TestEnvNamesEverything(t *testing.T) {
	t.Setenv("STRAKE_SANDBOX_HOME", t.TempDir())
	s, err := Open("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(testState()); err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(programs, "buildkitd"), nil, 0o755),
		os.Mkdir(s.Path("bin"), 0o700),
		link(filepath.Join(programs, "buildctl"), s.Path("bin", "buildctl")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	env, err := s.Env()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, variable := range env {
		got[variable.Name] = variable.Value
	}
	for name, want := range map[string]string{
		"KUBECONFIG":                  s.Path("kube", "admin.kubeconfig"),
		"STRAKE_SANDBOX_REGISTRY":     "127.0.0.1:20001",
		"STRAKE_REGISTRY_MIRRORS":     "docker.io=127.0.0.1:20001",
		"STRAKE_SANDBOX_POD_REGISTRY": "10.200.3.1:20001",
		"STRAKE_SANDBOX_AUDIT_LOG":    s.Path("logs", "audit.log"),
		"STRAKE_SANDBOX_BUILDKITD":    filepath.Join(programs, "buildkitd"),
	} {
		if got[name] != want {
			t.Errorf("%s=%s, want %s", name, got[name], want)
		}
	}
}

// The node's kind is chosen once.
func TestNodeKindStays(t *testing.T) {
	t.Setenv("STRAKE_SANDBOX_HOME", t.TempDir())
	s, err := Open("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	state := testState()
	if err := s.chooseNode(state, NodeKwok); err == nil || !strings.Contains(err.Error(), "down --purge") {
		t.Errorf("got %v", err)
	}
}
