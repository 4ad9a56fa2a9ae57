package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Under -o json every line of standard output is an object with a time and a type, the last one is
// the verdict, and there is no other.
func TestJSONOutput(t *testing.T) {
	good, bad := app("built", someChanges), app("built", "{fail: no}")
	for name, test := range map[string]struct {
		app     string
		args    []string
		code    int
		events  bool
		result  []string // keys of the result
		failure string   // part of the error
	}{
		"run":       {app: good, args: []string{"run"}, events: true, result: []string{"app", "steps", "images", "changes", "lock", "upToDate", "workspace"}},
		"run fails": {app: bad, args: []string{"run"}, code: 1, events: true, result: []string{"steps"}, failure: "deploy-put (app.yaml:12:5): no"},
		"plan":      {app: good, args: []string{"plan", "--detailed-exitcode"}, code: 2, events: true, result: []string{"app", "pending", "counts", "changes"}},
		"render":    {app: good, args: []string{"render"}, events: true, result: []string{"manifests", "images"}},
		"build":     {app: good, args: []string{"build"}, events: true, result: []string{"images"}},
		"delete":    {app: good, args: []string{"delete"}, events: true, result: []string{"app", "changes"}},
		"inspect":   {app: good, args: []string{"inspect"}, result: []string{"app", "objects"}},
		"history":   {app: app("built", "{revisions: [succeeded]}"), args: []string{"history"}, result: []string{"app", "revisions"}},
		"rollback":  {app: app("built", "{revisions: [succeeded, succeeded, succeeded]}"), args: []string{"rollback"}, events: true, result: []string{"app", "revision"}},
		"apps":      {args: []string{"apps", "-A"}, result: []string{"apps"}},
		"validate":  {app: good, args: []string{"validate"}, result: []string{"files"}},
		"invalid":   {app: "kind: App\n", args: []string{"run"}, code: 3, failure: "app.yaml:1:7"},
		"no file":   {args: []string{"run"}, code: 1, failure: "no file is given"},
		"plugins":   {args: []string{"plugins"}, result: []string{"plugins"}},
		"version":   {args: []string{"version"}, result: []string{"strake", "libraries", "go", "platform"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t.Context(), t, map[string]string{"STRAKE_OUTPUT": "json"}, test.app, test.args...)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d: %s", got.code, test.code, got.stderr)
			}
			lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
			types := map[string]int{}
			var last struct {
				Time                          time.Time
				Type, Command, Outcome, Error string
				ExitCode                      int
				Diagnostics                   []diagnostic
				Result                        map[string]any
			}
			for _, line := range lines {
				last.Result = nil
				if err := json.Unmarshal([]byte(line), &last); err != nil {
					t.Fatalf("%v in line %q", err, line)
				}
				if last.Type == "" || last.Time.IsZero() {
					t.Errorf("line without type or time: %s", line)
				}
				types[last.Type]++
			}
			if last.Type != "result" || types["result"] != 1 {
				t.Errorf("lines of types %v, want one result at the end", types)
			}
			if (types["run-finished"] == 1) != test.events {
				t.Errorf("events of types %v, want a run: %t", types, test.events)
			}
			if last.Command != test.args[0] || last.ExitCode != test.code || (last.Outcome == "failed") != (test.failure != "") {
				t.Errorf("verdict is %+v", last)
			}
			if !strings.Contains(last.Error, test.failure) || !strings.Contains(got.stderr, test.failure) {
				t.Errorf("error %q and standard error %q, want %q in both", last.Error, got.stderr, test.failure)
			}
			if (len(last.Diagnostics) > 0) != (test.code == exitInvalid) {
				t.Errorf("diagnostics are %+v", last.Diagnostics)
			}
			for _, key := range test.result {
				if _, ok := last.Result[key]; !ok {
					t.Errorf("result lacks %s: %s", key, lines[len(lines)-1])
				}
			}
		})
	}
}
