package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/plugintest"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/plugin"
	"strake.dev/strake/stages/protocol"
)

// modes are what the test's executable is as a plugin, by its environment: a plugin's is strake's to set.
var modes = map[string]plugin.Func{
	"good": func(_ context.Context, r *plugin.Request) (plugin.Result, error) {
		fmt.Println("a library that prints") // must not get among the messages
		m, err := r.ReadManifests()
		if err != nil {
			return plugin.Result{}, err
		}
		return r.WriteManifests(append([]byte("# seen\n"), m...))
	},
	"panics": func(context.Context, *plugin.Request) (plugin.Result, error) { panic("a mistake") },
	"fails": func(context.Context, *plugin.Request) (plugin.Result, error) {
		return plugin.Result{}, plugin.WithHint(errors.New("no luck"), "try again")
	},
	"outlives its context": func(context.Context, *plugin.Request) (plugin.Result, error) {
		time.Sleep(time.Hour)
		return plugin.Result{}, nil
	},
}

func TestMain(m *testing.M) {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "strake-plugin-")
	if f, ok := modes[strings.ReplaceAll(name, "-", " ")]; ok {
		plugin.Serve(plugin.Plugin{Name: name, Version: "v1", Template: f})
	}
	os.Exit(m.Run())
}

// executable is the test's own, under the name of a plugin.
func executable(t *testing.T, mode string) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "strake-plugin-"+strings.ReplaceAll(mode, " ", "-"))
	if err := os.WriteFile(path, data, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

type silent struct{}

func (silent) Observe(stages.Event) {}

// A plugin made with the package keeps the protocol; one whose function is wrong says so, and ends when it is asked to.
func TestConformance(t *testing.T) {
	for mode, want := range map[string]string{
		"good": "", "panics": "internal error: a mistake", "fails": "no luck",
	} {
		t.Run(mode, func(t *testing.T) {
			failed := ""
			for _, c := range plugintest.Run(t.Context(), &plugintest.Subject{
				Path: executable(t, mode), With: json.RawMessage("null"), Manifests: []byte("a: 1\n"), Observer: silent{},
			}) {
				if c.Error != "" {
					failed += c.Name + ": " + c.Error + "\n"
				}
			}
			if want == "" && failed != "" || !strings.Contains(failed, want) || want != "" && strings.Count(failed, "\n") != 1 {
				t.Errorf("expected only %q to fail, found:\n%s", want, failed)
			}
		})
	}
}

// talk has a plugin answer lines.
func talk(ctx context.Context, p plugin.Plugin, lines ...string) (string, error) {
	var out bytes.Buffer
	err := plugin.Talk(ctx, p, strings.NewReader(strings.Join(lines, "\n")+"\n"), &out)
	return out.String(), err
}

const hello = `{"hello":{"protocols":["` + protocol.V1 + `"],"strake":"test"}}`

func TestTalk(t *testing.T) {
	yields := func(_ context.Context, r *plugin.Request) (plugin.Result, error) {
		r.Log("declared: %v", r.Outputs)
		return plugin.Result{Outputs: map[string]any{"objects": 3, "ready": true}}, nil
	}
	p := plugin.Plugin{Name: "x", Version: "v1", Template: yields, Key: yields, Deploy: modes["panics"]}
	tests := map[string]struct {
		lines []string
		want  []string
		err   string
	}{
		"only a hello":      {[]string{hello}, []string{`{"hello":{"protocol":"strake.dev/plugin/v1","name":"x","version":"v1","stages":["deploy","template"],"capabilities":["key"]}}`}, ""},
		"outputs":           {[]string{hello, `{"request":{"op":"run","stage":"template","outputs":{"ready":"bool"}}}`}, []string{`declared: map[ready:bool]`, `{"result":{"outputs":{"objects":3,"ready":true}}}`}, ""},
		"a panic":           {[]string{hello, `{"request":{"op":"run","stage":"deploy"}}`}, []string{`{"error":{"message":"x: internal error: a mistake"}}`}, ""},
		"another stage":     {[]string{hello, `{"request":{"op":"run","stage":"build"}}`}, []string{`{"error":{"message":"x can't run in the build stage"}}`}, ""},
		"another operation": {[]string{hello, `{"request":{"op":"delete","stage":"deploy"}}`}, []string{`{"error":{"message":"x can't delete in the deploy stage"}}`}, ""},
		"another version":   {[]string{`{"hello":{"protocols":["strake.dev/plugin/v9"]}}`}, nil, "expected a strake that speaks"},
		"nothing":           {nil, nil, "expected a hello of strake"},
		"no request":        {[]string{hello, hello}, nil, "expected a request after the hello"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := talk(t.Context(), p, test.lines...)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("expected the error %q, found %v", test.err, err)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("expected %s, found %s", want, out)
				}
			}
		})
	}
}

// A function that doesn't look at its context is ended with it all the same.
func TestOutlives(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := plugin.Plugin{Name: "x", Version: "v1", Template: modes["outlives its context"]}
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	out, err := talk(ctx, p, hello, `{"request":{"op":"run","stage":"template"}}`)
	if err != nil || !strings.Contains(out, `{"error":{"message":"x: was asked to end"}}`) {
		t.Errorf("found %s %v", out, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestDecode(t *testing.T) {
	var c struct {
		Key string `json:"key"`
	}
	for config, want := range map[string]string{`{"key":"a"}`: "", "null": "", "": "", `{"kee":"a"}`: `with: json: unknown field "kee"`, `{"key":1}`: "with: json: cannot unmarshal number"} {
		r := &plugin.Request{Request: protocol.Request{Config: json.RawMessage(config)}}
		if err := r.Decode(&c); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: expected %q, found %v", config, want, err)
		}
	}
}
