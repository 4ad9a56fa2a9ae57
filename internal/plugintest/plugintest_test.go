package plugintest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

type nobody struct{}

func (nobody) Observe(stages.Event) {}

// fails runs the checks and returns the names of those that fail.
func fails(t *testing.T, path, with string) string {
	t.Helper()
	var failed []string
	for _, c := range Run(t.Context(), &Subject{Path: path, With: json.RawMessage(with), Manifests: []byte("a: 1\n"), Observer: nobody{}}) {
		if c.Error != "" {
			failed = append(failed, c.Name+": "+c.Error)
		}
	}
	return strings.Join(failed, "\n")
}

func TestRun(t *testing.T) {
	path, err := filepath.Abs("../../examples/plugins/shell/strake-plugin-label")
	if err != nil {
		t.Fatal(err)
	}
	if failed := fails(t, path, `{"owner":"shop"}`); failed != "" {
		t.Errorf("the example fails:\n%s", failed)
	}
	const hello = "#!/bin/sh\nread -r _\necho '{\"hello\":{\"protocol\":\"strake.dev/plugin/v1\",\"name\":\"x\",\"version\":\"v1\",\"stages\":[\"template\"]}}'\n"
	for script, want := range map[string]string{
		"#!/bin/sh\n": "says hello",
		hello:         "ended without a result",
		hello + "read -r _; echo '{\"result\":{}}'\n":                         "refuses a protocol",
		hello + "read -r _; echo '{\"result\":{\"outputs\":{\"a\":[1]}}}'\n":  "expected outputs that are texts",
		hello + "read -r _; echo '{\"result\":{}}'; echo '{\"result\":{}}'\n": "more after its result",
		hello + "read -r r; o=$(echo \"$r\" | sed -n 's/.*\"out\":\"\\([^\"]*\\)\".*/\\1/p'); head -c 9 /dev/urandom >$o/m; echo '{\"result\":{\"manifests\":\"m\"}}'\n": "other manifests",
	} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds: what ends without having read it all breaks the pipe.
		if failed := fails(t, path, `"`+strings.Repeat("x", 100_000)+`"`); !strings.Contains(failed, want) {
			t.Errorf("expected %q to fail, found:\n%s", want, failed)
		}
	}
}
