package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"strake.dev/strake/internal/snippets"
)

// repository is the folder of the documents.
const repository = "../.."

// elsewhere says who runs what the scripts of documents don't: by the document, and what is typed first.
var elsewhere = map[string]map[string]string{
	"README.md": {
		"make reqs":              "TestPlatform, and make test itself",
		"strake run -f examples": "TestPlatform",
		"strake hook manifest":   "internal/hook: a kapp-controller is needed",
	},
	"docs/watch.md":               {"strake run --watch": "TestWatch: it ends only when it is told to"},
	"examples/artifact/README.md": {"cd examples/sandbox": "TestArtifactGuide runs guide.sh"},
	"examples/build/README.md":    {"eval": "it is the block before in another sandbox"},
	"examples/kapp-controller-hook/README.md": {
		"CGO_ENABLED=0 go build": "internal/hook: a kapp-controller is needed",
		"openssl req":            "internal/hook has certificates of its own",
	},
	"examples/platform/README.md":   {"strake run": "TestPlatform", "docker exec": "a node of kind is needed"},
	"examples/plugins/README.md":    {"strake render": "TestScripts/plugins and TestCompiledInExample of cmd/strake, and plugins/exec: Go is needed"},
	"examples/sandbox/README.md":    {"apt-get": "make test brings up a sandbox, and takes it down"},
	"examples/src-to-oci/README.md": {"eval": "TestSourceDockerfilesAndConfigFromThreePlaces"},
}

// runElsewhere says who runs a snippet; empty for the script of its document.
func runElsewhere(s *snippets.Snippet) string {
	first := strings.TrimPrefix(strings.TrimSpace(s.Text), "$ ")
	for begin, where := range elsewhere[s.File] {
		if strings.HasPrefix(first, begin) {
			return where
		}
	}
	return ""
}

// typed are the snippets of a document that people type.
func typed(file string) ([]snippets.Snippet, error) {
	all, err := snippets.Of(repository, file)
	return slices.DeleteFunc(all, func(s snippets.Snippet) bool { return s.Info != "console" && s.Info != "sh" }), err
}

// What documents tell people to type is run: by a script, with “document FILE”, or elsewhere.
func TestEveryDocumentIsRun(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^document (\S+)$`).FindAllStringSubmatch(string(text), -1) {
			run[m[1]] = true
		}
	}
	files, err := snippets.Documents(repository)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, file := range files {
		all, err := typed(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			switch where := runElsewhere(&s); {
			case where != "":
				used++
			case !run[file]:
				t.Errorf("%s: nothing runs it", s.Place())
			}
		}
	}
	all := 0
	for _, of := range elsewhere {
		all += len(of)
	}
	if used != all {
		t.Errorf("%d snippets are run elsewhere, and %d are listed", used, all)
	}
}

// document types what a document of the repository says, in the script's folder: document FILE. Registries and
// namespaces of the document are replaced by those of the script.
func document(ts *testscript.TestScript, _ bool, args []string) {
	own := strings.NewReplacer(
		"registry.example.com", ts.Getenv("REPO"), "ghcr.io", ts.Getenv("REPO"), "REGISTRY/NAME", ts.Getenv("REPO")+"/name", "HOST/", ts.Getenv("REPO")+"/",
		"-n apps", "-n "+ts.Getenv("NAMESPACE"), "/apps/", "/"+ts.Getenv("NAMESPACE")+"/", " apps/", " "+ts.Getenv("NAMESPACE")+"/",
		"man -l ", "cat ",
	)
	all, err := typed(args[0])
	ts.Check(err)
	ran := 0
	for _, s := range all {
		if runElsewhere(&s) != "" {
			continue
		}
		calls := s.Calls()
		if s.Info == "sh" {
			calls = []snippets.Call{{Command: s.Text}}
		}
		for _, call := range calls {
			if strings.HasPrefix(call.Command, "make ") {
				continue // TestPlatform
			}
			ran++
			text := own.Replace(call.Command)
			if err := ts.Exec("bash", "-euo", "pipefail", "-c", "exec 2>&1\n"+text); err != nil {
				ts.Fatalf("%s: %s: %v", s.Place(), text, err)
			}
			if want := own.Replace(call.Output); want != "" {
				pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
				if got := ts.ReadFile("stdout"); !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
					ts.Fatalf("%s: %s: expected\n%s\nfound\n%s", s.Place(), text, want, got)
				}
			}
		}
	}
	if ran == 0 {
		ts.Fatalf("%s: nothing is typed in it", args[0])
	}
}
