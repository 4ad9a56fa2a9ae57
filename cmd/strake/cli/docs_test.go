package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"strake.dev/strake/cmd/strake/checked"
	"strake.dev/strake/internal/snippets"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// documents are all that people read.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := snippets.Documents(repository)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Each strake command has to be one that strake takes, each file one that it takes. Commands that need a cluster or
// a registry are run by internal/e2e.
func TestSnippets(t *testing.T) {
	var all []snippets.Snippet
	for _, file := range documents(t) {
		of, err := snippets.Of(repository, file)
		if err != nil {
			t.Error(err)
		}
		all = append(all, of...)
	}
	for _, s := range all {
		var err error
		switch s.Info {
		case "console":
			err = checkConsole(t, &s)
		case "sh":
			err = checkScript(t, s.Text)
		case "yaml":
			err = checkFile(s.Text)
		case "yaml fragment":
			err = checkYAML(s.Text)
		case "text":
		default:
			err = fmt.Errorf("the info string %q says nothing to the test", s.Info)
		}
		if err != nil {
			t.Errorf("%s: %v", s.Place(), err)
		}
	}
}

// optional is what a synopsis has that a command line hasn't.
var optional = regexp.MustCompile(`\s*\[[^\]]*\]|\\\|\w+|\s*…`)

// Commands within sentences and tables are those of strake, too, maybe without what they need.
func TestCommandsInText(t *testing.T) {
	inline := regexp.MustCompile("`((?:bin/)?strake [a-z][^`]*)`")
	for _, file := range documents(t) {
		for _, m := range inline.FindAllStringSubmatch(snippets.Prose(readFile(t, repository, file)), -1) {
			call := strings.ReplaceAll(optional.ReplaceAllString(m[1], ""), "\n", " ")
			err := checkScript(t, call)
			if err != nil && !strings.Contains(err.Error(), "needs an argument") && !strings.Contains(err.Error(), "found 0 arguments") {
				t.Errorf("%s: %s: %v", file, m[1], err)
			}
		}
	}
}

var (
	comment   = regexp.MustCompile(`(?m)(^|\s)#.*$`)
	continued = regexp.MustCompile(`\\\n\s*`)
)

func checkConsole(t *testing.T, s *snippets.Snippet) error {
	calls := s.Calls()
	if len(calls) == 0 {
		return fmt.Errorf("nothing is typed in it: lines that are begin with “$ ”")
	}
	for _, c := range calls {
		if err := checkScript(t, c.Command); err != nil {
			return err
		}
	}
	return nil
}

// foreign are the commands besides strake that documents name.
var foreign = strings.Fields(`make kubectl openssl docker for do done ln eval cd ytt kapp kbld vendir go echo time apt-get cat
	kctrl skaffold kustomizer kustomize helm flux cosign git export mkdir source code exit tail set man sandbox`)

var separator = regexp.MustCompile(`\s*(?:&&|\|\||;|\||\n)\s*`)

// checkScript checks each strake command of a script, and that the others are known, so that no misspelt one is
// passed over.
func checkScript(t *testing.T, text string) error {
	text = continued.ReplaceAllString(comment.ReplaceAllString(text, ""), " ")
	for _, call := range separator.Split(quoted.ReplaceAllStringFunc(text, hideSeparators), -1) {
		words := strings.Fields(call)
		for len(words) > 0 && (words[0] == "do" || regexp.MustCompile(`^[A-Za-z_]+=`).MatchString(words[0])) {
			words = words[1:]
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#!") {
			continue
		}
		tool := filepath.Base(words[0])
		if i := slices.IndexFunc(words, func(w string) bool { return filepath.Base(w) == "strake" && w != "./cmd/strake" }); i > 0 && words[i-1] == "--" {
			words, tool = words[i:], "strake"
		}
		switch {
		case tool == "strake":
			if err := checkCall(t, words[1:]); err != nil {
				return fmt.Errorf("%s: %w", strings.Join(words, " "), err)
			}
		case !slices.Contains(foreign, tool) && !exists(filepath.Join(repository, words[0])) && !strings.HasPrefix(words[0], "$"):
			return fmt.Errorf("%s: the command %s isn't known", call, tool)
		}
	}
	return nil
}

var quoted = regexp.MustCompile(`'[^']*'|"[^"]*"|<\([^)]*\)|\$\([^)]*\)`)

// hideSeparators makes one word of a quoted text.
func hideSeparators(text string) string {
	return strings.NewReplacer("|", "_", ";", "_", "&", "_", " ", "_", "\n", "_", "'", "", `"`, "").Replace(text)
}

// checkCall tells whether strake takes a command line, which isn't run.
func checkCall(t *testing.T, args []string) error {
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, ">") || a == "2>&1" }); i >= 0 {
		args = args[:i]
	}
	tool := &tool{out: &checked.Writer{}, getenv: func(string) string { return "" }}
	root := newRootCommand(tool)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.DisableFlagParsing || cmd.Name() == "help" || cmd.Name() == "completion" {
		return nil // a tool by its name
	}
	rest = slices.DeleteFunc(rest, func(a string) bool { return a == "…" })
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	if !cmd.Runnable() {
		return fmt.Errorf("it is no command, but a group of them")
	}
	if reports, err := cmd.Flags().GetStringArray("report"); err == nil {
		if _, err := tool.reportFiles(reports); err != nil {
			return err
		}
	}
	// A file of the repository that a command names has to be there.
	if file := cmd.Flags().Lookup("file"); file != nil {
		if name := strings.Trim(file.Value.String(), "[]"); strings.HasPrefix(name, "examples/") && !exists(filepath.Join(repository, name)) {
			return fmt.Errorf("there is no %s", name)
		}
	}
	return runHere(t, cmd, args)
}

// runHere runs a command that needs nothing but the repository, and changes nothing.
func runHere(t *testing.T, cmd *cobra.Command, args []string) error {
	switch cmd.Name() {
	case "schema", "plugins":
	case "render", "validate":
		file := strings.Trim(cmd.Flags().Lookup("file").Value.String(), "[]")
		if !exists(filepath.Join(repository, file)) || file == "" || strings.Contains(strings.Join(args, " "), "=$") {
			return nil
		}
	default:
		return nil
	}
	var out, errs bytes.Buffer
	env := map[string]string{"STRAKE_WORKSPACE": t.TempDir(), "STRAKE_LOCK_FILE": filepath.Join(t.TempDir(), "lock.yaml")}
	tool := &tool{Program: Program{Plugins: plugins.Builtin}, out: &checked.Writer{To: &out}, err: &errs, getenv: func(name string) string { return env[name] }}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	t.Chdir(repository)
	defer t.Chdir(here)
	if code := tool.execute(t.Context(), args); code != 0 || out.Len() == 0 {
		return fmt.Errorf("exit code %d: %s", code, errs.String())
	}
	t.Logf("ran strake %s: %d bytes", strings.Join(args, " "), out.Len())
	return nil
}

func checkYAML(text string) error {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc any
		if err := decoder.Decode(&doc); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
	}
}

const wrapper = "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: x}\n"

// checkFile tells whether strake takes a file. What is only the spec of an App, or a stage, is put into one.
func checkFile(text string) error {
	var head map[string]any
	if err := yaml.NewDecoder(strings.NewReader(text)).Decode(&head); err != nil {
		return err
	}
	_, spec := head["spec"]
	_, stage := head["fetch"]
	switch kind := fmt.Sprint(head["kind"]); {
	case head["kind"] == nil && spec:
		text = wrapper + text
	case head["kind"] == nil && stage:
		text = wrapper + "spec:\n" + regexp.MustCompile(`(?m)^`).ReplaceAllString(text, "  ")
	case kind == schema.KindSignaturePolicy:
		nodes, err := schema.Parse("", []byte(text))
		if err != nil {
			return err
		}
		return schema.Decode(nodes[0], &schema.SignaturePolicy{})
	case kind == "Config":
		delete(head, "apiVersion")
		delete(head, "kind")
		config, err := yaml.Marshal(map[string]any{"spec": map[string]any{"build": []any{map[string]any{"kbld": map[string]any{"config": head}}}}})
		if err != nil {
			return err
		}
		text = wrapper + string(config)
	}
	loader := pipeline.Loader{
		Plugins: func(schema.TargetKube) (*stages.Registry, error) {
			return stages.NewRegistry(plugins.Builtin(plugins.Deps{})...), nil
		},
		Read:  func(string) ([]byte, error) { return []byte(text), nil },
		Check: true,
	}
	_, err := loader.Load("app.yaml")
	return err
}

// Links within the repository lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(?:#([^)]*))?\)`)
	for _, file := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(snippets.Prose(readFile(t, repository, file)), -1) {
			target := filepath.Join(filepath.Dir(file), m[1])
			if !exists(filepath.Join(repository, target)) {
				t.Errorf("%s: there is no %s", file, target)
				continue
			}
			if m[2] != "" && !slices.Contains(anchors(readFile(t, repository, target)), m[2]) {
				t.Errorf("%s: %s has no heading #%s", file, target, m[2])
			}
		}
	}
}

// anchors are those that GitHub makes of headings.
func anchors(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

// The search for snippets finds what is wrong with one.
func TestWrongSnippets(t *testing.T) {
	for name, check := range map[string]func() error{
		"flag":          func() error { return checkConsole(t, &snippets.Snippet{Text: "$ strake run --frobnicate\n"}) },
		"command":       func() error { return checkConsole(t, &snippets.Snippet{Text: "$ echo a && strake rum\n"}) },
		"after a pipe":  func() error { return checkScript(t, "cat x | bin/strake run --no\n") },
		"continued":     func() error { return checkConsole(t, &snippets.Snippet{Text: "$ strake run \\\n    --no\n"}) },
		"tool":          func() error { return checkConsole(t, &snippets.Snippet{Text: "$ strak run\n"}) },
		"nothing typed": func() error { return checkConsole(t, &snippets.Snippet{Text: "strake run\n"}) },
		"missing example": func() error {
			return checkConsole(t, &snippets.Snippet{Text: "$ strake run -f examples/nothing/app.yaml\n"})
		},
		"field":            func() error { return checkFile("spec: {template: [{ytt: {path: a}}]}\n") },
		"field of a stage": func() error { return checkFile("fetch: [{git: {}}]\n") },
		"kbld Config":      func() error { return checkFile("kind: Config\nsources: [{imag: x}]\n") },
		"policy": func() error {
			return checkFile("apiVersion: strake.dev/v1alpha1\nkind: SignaturePolicy\nspec: {rule: []}\n")
		},
		"YAML": func() error { return checkYAML("a: [\n") },
	} {
		if check() == nil {
			t.Errorf("%s: nothing is found", name)
		}
	}
}
