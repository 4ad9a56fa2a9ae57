package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// Under -o json every line of standard output is an object with a time and a type. Of a command with a run
// the first one says what they are, and the last one is the verdict; others have only their result.
func TestJSONOutput(t *testing.T) {
	good, bad := app("built", someChanges), app("built", "{fail: no}")
	for name, test := range map[string]struct {
		app     string
		args    []string
		code    int
		events  bool     // it has a run
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
		"invalid":   {app: "kind: App\n", args: []string{"run"}, code: 3, events: true, failure: "app.yaml:1:7"},
		"no file":   {args: []string{"run"}, code: 1, events: true, failure: "no file is given"},
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
				Schema                        string
				Diagnostics                   []report.Diagnostic
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
			want := map[string]int{"result": 1, report.StreamStarted: 0, stages.RunFinished: 0}
			if test.events {
				want = map[string]int{"result": 0, report.StreamStarted: 1, stages.RunFinished: 1}
				if !strings.Contains(lines[0], `"schema":"strake.dev/events/v1"`) {
					t.Errorf("the first line is %s", lines[0])
				}
			}
			for kind, n := range want {
				if types[kind] != n {
					t.Errorf("%d lines of the type %s, want %d", types[kind], kind, n)
				}
			}
			if types[last.Type] != 1 || last.Outcome == "" {
				t.Errorf("the last line is %s", lines[len(lines)-1])
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
