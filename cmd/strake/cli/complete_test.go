package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// completions are what a shell offers after a command line.
func completions(t *testing.T, args ...string) []string {
	t.Helper()
	got := callHere(t.Context(), nil, append([]string{cobra.ShellCompRequestCmd}, args...)...)
	if got.code != 0 || strings.Contains(got.stderr, "rror") {
		t.Fatalf("completing %v: %+v", args, got)
	}
	var words []string
	for line := range strings.Lines(got.stdout) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, ":") {
			word, _, _ := strings.Cut(line, "\t")
			words = append(words, word)
		}
	}
	return words
}

func TestCompletions(t *testing.T) {
	call(t.Context(), t, nil, app("built", "{}"), "run", "--progress=none", "--workspace=ws")
	kubeconfig := "apiVersion: v1\nkind: Config\ncontexts: [{name: prod, context: {}}, {name: dev, context: {}}]\n"
	if err := os.WriteFile("config", []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := "apiVersion: strake.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  targets: [{name: staging}, {name: prod}]\n  apps: [app.yaml]\n"
	if err := os.WriteFile("pipe.yaml", []byte(pipe), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"run --kubeconfig config --context ", "dev prod"},
		{"run --kubeconfig missing --context ", ""},
		{"apps --kubeconfig missing --namespace ", ""},
		{"lock update --only ", "app"},
		{"lock update -f other.yaml --only ", ""},
		{"lock update -f app.yaml --only ", "app"},
		{"run -f pipe.yaml --target ", "staging prod"},
		{"plan -f pipe.yaml --app ", "demo"},
		{"run -f app.yaml --target ", ""},
		{"adopt --namespace team --from kapp ", "web"},
		{"adopt --from kapp --namespace forbidden ", ""},
		{"adopt --from kapp --namespace team web ", ""},
		{"artifact pull ", ""},
		{"artifact pull oci://127.0.0.1:1/none:", ""},
		{"run --from ", "fetch verify template build publish deploy"},
	} {
		words := completions(t, strings.Split(test.args, " ")...)
		if got := strings.Join(words, " "); !strings.HasSuffix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %s, want %s", test.args, got, test.want)
		}
	}
	if runs := completions(t, "report", "--workspace=ws", ""); len(runs) != 1 || !strings.HasPrefix(runs[0], "20") {
		t.Errorf("runs: %v", runs)
	}
}

// Every command that people see has a page, with its examples.
func TestManPages(t *testing.T) {
	t.Chdir(t.TempDir())
	for range 2 {
		if got := callHere(t.Context(), nil, "man", "man1"); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	var names []string
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.IsAvailableCommand() && cmd.HasParent() {
			return
		}
		names = append(names, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRootCommand(&tool{getenv: os.Getenv}))
	for _, name := range names {
		page, err := os.ReadFile(filepath.Join("man1", name))
		if err != nil || !strings.Contains(string(page), ".SH NAME") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Contains(names, "strake-artifact-push.1") {
		t.Errorf("pages: %v", names)
	}
}
