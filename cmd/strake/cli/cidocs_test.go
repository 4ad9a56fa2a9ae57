package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"strake.dev/strake/cmd/strake/checked"
)

const repository = "../../.."

// ciFiles are what users copy.
var ciFiles = []string{"docs/ci.md", "examples/ci/.github/workflows/deploy.yml", "examples/ci/.gitlab-ci.yml", "examples/ci/tekton.yaml"}

var (
	codeRow   = regexp.MustCompile(`(?m)^\| ([0-9, ]+) \| (.*) \|$`)
	codeLine  = regexp.MustCompile(`(?m)^  ([0-9]+(?:, [0-9]+)*)  (\S.*(?:\n     .*)*)`)
	callOf    = regexp.MustCompile(`(?m)^(?:[ \t]*|\$ |[ \t]*- |[ \t]*run: )strake ([a-z].*)$`)
	fence     = regexp.MustCompile("(?ms)^```(\\w+)[^\n]*\n(.*?)^```$")
	endOfCall = regexp.MustCompile(`\s+(?:\|\||#|>).*$`)
)

// codesOf are the codes that a text explains.
func codesOf(pattern *regexp.Regexp, text string) map[string]string {
	codes := map[string]string{}
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		for code := range strings.SplitSeq(m[1], ", ") {
			codes[code] = strings.ReplaceAll(strings.Join(strings.Fields(m[2]), " "), "`", "")
		}
	}
	return codes
}

// The documents, the help and the code have the same exit codes.
func TestExitCodesAreDocumented(t *testing.T) {
	var known []string
	for code := range exitUnsigned + 1 {
		known = append(known, string(rune('0'+code)))
	}
	known = append(known, "130", "143")
	slices.Sort(known)
	help := codesOf(codeLine, exitHelp)
	ci := codesOf(codeRow, readFile(t, repository, "docs/ci.md"))
	readme := codesOf(codeRow, readFile(t, repository, "README.md"))
	for name, codes := range map[string]map[string]string{"help": help, "docs/ci.md": ci, "README.md": readme} {
		var found []string
		for code := range codes {
			found = append(found, code)
		}
		slices.Sort(found)
		if diff := cmp.Diff(known, found); diff != "" {
			t.Errorf("codes of %s (-known +found):\n%s", name, diff)
		}
	}
	for code, meaning := range help {
		if !strings.HasPrefix(ci[code], strings.Split(meaning, ", terminated")[0]) && code != "143" {
			t.Errorf("%s is %q in the help and %q in docs/ci.md", code, meaning, ci[code])
		}
	}
}

// Each command that users copy has flags that exist.
func TestCommandsOfCIExamples(t *testing.T) {
	for _, file := range ciFiles {
		text := readFile(t, repository, file)
		if filepath.Ext(file) == ".md" {
			blocks := fence.FindAllString(text, -1)
			text = strings.Join(blocks, "")
		}
		calls := callOf.FindAllStringSubmatch(text, -1)
		if len(calls) == 0 {
			t.Errorf("%s: no command is found", file)
		}
		for _, call := range calls {
			args := strings.Fields(endOfCall.ReplaceAllString(call[1], ""))
			tool := &tool{out: &checked.Writer{}, getenv: func(string) string { return "" }}
			cmd, rest, err := newRootCommand(tool).Find(args)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil || !cmd.Runnable() {
				t.Errorf("%s: strake %s: %v", file, call[1], err)
				continue
			}
			if reports, err := cmd.Flags().GetStringArray("report"); err == nil {
				if _, err := tool.reportFiles(reports); err != nil {
					t.Errorf("%s: strake %s: %v", file, call[1], err)
				}
			}
		}
	}
}

func TestCIExamplesAreYAML(t *testing.T) {
	texts := map[string]string{}
	for _, file := range ciFiles[1:] {
		texts[file] = readFile(t, repository, file)
	}
	for _, m := range fence.FindAllStringSubmatch(readFile(t, repository, ciFiles[0]), -1) {
		if m[1] == "yaml" {
			texts["docs/ci.md: "+m[2]] = m[2]
		}
	}
	for name, text := range texts {
		var doc any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	links := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, file := range []string{"docs/ci.md", "examples/ci/README.md"} {
		for _, m := range links.FindAllStringSubmatch(readFile(t, repository, file), -1) {
			if _, err := os.Stat(filepath.Join(repository, filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
