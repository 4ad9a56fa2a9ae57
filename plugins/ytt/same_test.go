package ytt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"carvel.dev/ytt/pkg/cmd"
	uierrs "github.com/cppforlife/go-cli-ui/errors"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// asYtt makes the test binary be ytt's own command.
const asYtt = "STRAKE_TEST_AS_YTT"

func TestMain(m *testing.M) {
	if os.Getenv(asYtt) == "" {
		os.Exit(m.Run())
	}
	if err := cmd.NewDefaultYttCmd().Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "ytt: Error: %s\n", uierrs.NewMultiLineError(err))
		os.Exit(1)
	}
}

// ytt runs the command and returns its standard output, or its message as an error.
func ytt(t testing.TB, stdin string, args ...string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe, args...)
	c.Env = append(os.Environ(), asYtt+"=1")
	c.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
		return "", errors.New(strings.TrimSpace(strings.TrimPrefix(said.String(), "ytt: Error: ")))
	}
	return out.String(), nil
}

// commandLine says how kapp-controller would call ytt for the configuration, with the App's folder
// at dir and the inline files at inlineDir.
func commandLine(c *Config, dir, inlineDir string, hasStdin bool, set []string) []string {
	var args []string
	at := func(p string) string {
		if p == "-" {
			return p
		}
		return filepath.Join(dir, p)
	}
	switch {
	case len(c.Paths) > 0:
		for _, p := range c.Paths {
			args = append(args, "-f", at(p))
		}
	case hasStdin:
		args = append(args, "-f", "-")
	default:
		args = append(args, "-f", dir)
	}
	if c.Inline != nil {
		args = append(args, "-f", inlineDir)
	}
	for _, m := range c.FileMarks {
		args = append(args, "--file-mark", m)
	}
	for _, v := range c.ValuesFrom {
		args = append(args, "--data-values-file", at(v.Path))
	}
	if c.IgnoreUnknownComments {
		args = append(args, "--ignore-unknown-comments")
	}
	if c.Strict {
		args = append(args, "--strict")
	}
	for _, s := range set {
		flag, value, _ := strings.Cut(s, " ")
		args = append(args, flag, value)
	}
	return args
}

// Each file of testdata/same is a step: its configuration, then the App's folder. The file @stdin
// holds the manifests so far, and @set the flags of ytt that equal --set.
func TestSameAsYtt(t *testing.T) {
	names, err := filepath.Glob("testdata/same/*.txtar")
	if err != nil || len(names) < 40 {
		t.Fatalf("expected at least 40 cases, found %d (%v)", len(names), err)
	}
	// Here ytt's message names the folder of the workspace, holds a backtrace, or is cut at a bracket.
	ownMessage := []string{"path-missing", "boolean-key-panics", "function-as-value", "values-bad-yaml"}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".txtar")
		t.Run(base, func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			checkSame(t, archive, slices.Contains(ownMessage, base))
		})
	}
}

func checkSame(t *testing.T, archive *txtar.Archive, ownMessage bool) {
	t.Helper()
	c := stagetest.Case{Config: string(archive.Comment), Files: map[string]string{}, Values: map[string]string{}}
	var set []string
	for _, f := range archive.Files {
		switch f.Name {
		case "@stdin":
			c.Manifests = string(f.Data)
		case "@set":
			set = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		default:
			c.Files[f.Name] = string(f.Data)
		}
	}
	for _, s := range set {
		_, value, _ := strings.Cut(s, " ")
		key, value, _ := strings.Cut(value, "=")
		c.Values[key] = value
	}
	job := stagetest.NewJob(t, c)
	result, err := stagetest.Bind(t, Plugin(), c.Config).Run(t.Context(), job)

	var config Config
	if node := stagetest.Node(t, c.Config); node != nil {
		if err := schema.Decode(node, &config); err != nil {
			t.Fatal(err)
		}
	}
	inlineDir := t.TempDir()
	if config.Inline != nil {
		for p, content := range config.Inline.Paths {
			write(t, filepath.Join(inlineDir, p), content)
		}
	}
	dir := job.Sources.Dir()
	want, wantErr := ytt(t, c.Manifests, commandLine(&config, dir, inlineDir, c.Manifests != "", set)...)

	if (err == nil) != (wantErr == nil) {
		t.Fatalf("ytt: %v\nstrake: %v", wantErr, err)
	}
	if err == nil {
		if diff := cmp.Diff(want, string(result.Manifests)); diff != "" {
			t.Errorf("output differs (-ytt +strake):\n%s", diff)
		}
		return
	}
	if strings.Contains(err.Error(), dir) {
		t.Errorf("message names the folder of the workspace: %v", err)
	}
	if ownMessage {
		return
	}
	if diff := cmp.Diff(plain(wantErr.Error(), dir, inlineDir), err.Error()); diff != "" {
		t.Errorf("message differs (-ytt +strake):\n%s", diff)
	}
}

// plain takes out of a message of ytt what differs from machine to machine and run to run.
func plain(text, dir, inlineDir string) string {
	text = strings.ReplaceAll(text, "file "+inlineDir+"/", "inline file ")
	text = strings.ReplaceAll(text, dir+"/", "")
	text = strings.ReplaceAll(text, "(data-value-yaml arg)", "--set")
	text = regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "")
	return regexp.MustCompile(`__ytt_tpl\d+_`).ReplaceAllString(text, "")
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The examples in ytt's own module, each run as it lies there. Many lack values and fail; then ytt
// has to fail too.
func TestSameAsYttOnItsExamples(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "carvel.dev/ytt").Output()
	if err != nil {
		t.Skipf("the examples lie in ytt's module, and go can't tell where that is: %v", err)
	}
	examples, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "examples", "*"))
	if err != nil || len(examples) < 20 {
		t.Fatalf("expected at least 20 examples, found %d (%v)", len(examples), err)
	}
	rendered := 0
	for _, dir := range examples {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tree, err := stages.OpenTree(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer tree.Close()
			job := stagetest.NewJob(t, stagetest.Case{})
			job.Sources = tree
			result, err := stagetest.Bind(t, Plugin(), "").Run(t.Context(), job)
			want, wantErr := ytt(t, "", "-f", dir)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("ytt: %v\nstrake: %v", wantErr, err)
			}
			if diff := cmp.Diff(want, string(result.Manifests)); diff != "" {
				t.Errorf("output differs (-ytt +strake):\n%s", diff)
			}
			if err == nil {
				rendered++
			}
		})
	}
	if rendered < 10 {
		t.Errorf("only %d examples could be rendered, expected at least 10", rendered)
	}
}
