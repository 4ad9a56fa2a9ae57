package buildkit

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tonistiigi/fsutil"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/internal/thorough"
	"strake.dev/strake/stages/filesum"
)

// ignoreTree is a folder whose names meet the corners of patterns.
func ignoreTree(t testing.TB) *os.Root {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{}
	for _, folder := range []string{"", "a/", "a/b/", "a/b/c/", "b/", "b/a/", "a.b/", "node_modules/", "a/node_modules/x/", ".git/", "x[y]/", "ä/"} {
		for _, file := range []string{"a", "c", "a.md", "b.go", "README.md", ".hidden", "x*y", `back\slash`, "ä.md", "a b"} {
			if _, taken := files[folder+file]; !taken && folder+file != "a" && folder+file != "b/a" {
				files[folder+file] = ""
			}
		}
	}
	delete(files, "a/b/c")
	buildkittest.Write(t, dir, files)
	must(t, os.Mkdir(filepath.Join(dir, "a", "empty"), 0o755), os.Symlink("../b", filepath.Join(dir, "a", "link.md")))
	return buildkittest.Root(t, dir)
}

// sameAsLibrary compares what patterns leave with what BuildKit's own filter does.
func sameAsLibrary(t *testing.T, root *os.Root, patterns []string) {
	t.Helper()
	var want []string
	filtered, wantErr := fsutil.NewFilterFS(fsutil.NewRootFS(fsutil.NewRoot(root)), &fsutil.FilterOpt{ExcludePatterns: patterns})
	if wantErr == nil {
		want, wantErr = walked(t, filtered)
	}
	var got []string
	ours, gotErr := readTree(t.Context(), root, ".", patterns, nil)
	if gotErr == nil {
		got, gotErr = walked(t, ours)
	}
	if (gotErr == nil) != (wantErr == nil) {
		t.Errorf("%q: error %v, the library's is %v", patterns, gotErr, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" && wantErr == nil {
		t.Errorf("%q (-library +ours):\n%s", patterns, diff)
	}
}

func walked(t *testing.T, f fsutil.FS) (found []string, err error) {
	err = f.Walk(t.Context(), "", func(name string, _ os.DirEntry, err error) error {
		found = append(found, name)
		return err
	})
	return found, err
}

func TestIgnoreIsTheLibrarys(t *testing.T) {
	root := ignoreTree(t)
	for _, lines := range []string{
		"", " ", "!", "!a", "a", "/a", "a/", "./a", "a/b", "a/*", "a/**", "a/**/c", "*", "**", "**/", "**/*", "*/*", "*.md", "**/*.md", "**.md",
		"**/a", "**/a/**", "a*", "?", "?.md", "[ab]", "[^a]*", "[a-c].md", "[", "a[", `\*`, `x\*y`, `x\[y\]`, `back\\slash`, `**/x\*y`, `a\`, `\a`, `a/\b`, `c\b`, `a.md\b`, `\`,
		"*\n!a", "*\n!a/b", "*\n!a/b/c/a.md", "*\n!a/**", "*\n!a/*", "*\n!**/*.md", "*\n!*.md", "**\n!a/b", "**\n!**/README.md", "**/*\n!a/b/**",
		"a\n!a/b", "a\n!a/b\na/b/c", "a\n!a/b/*.md", "a/**\n!a/b\n!b", "**/*.md\n!README.md", "**/*.md\n!**/README.md", "*.md\n!README.md\nREADME.md",
		"**/node_modules", "node_modules", "**/.git\n**/node_modules\n!a/node_modules/x/a", "**/.*", ".*\n!.hidden", "a.b", "a.b\n!a.b/a", "ä", "**/ä.md", "?.md\n!ä.md",
		"a b", "**/a b", "#a", "..", "../a", "a/../b", ".", "*\n!.", "*\n!..", "x[y]", "x[[]y]", "x[[]y]/a", "a/b\n!a/b/c\n!*/b/c/a", "{a,b}", "a$", "(a)", "a|b", "^a", "a+", "b/a\n!b/a/c",
		"link.md", "a/link.md", "**/link*", "a/empty", "*\n!a/empty", "*\n!**/empty",
	} {
		sameAsLibrary(t, root, strings.Split(lines, "\n"))
	}
}

// randomPattern puts a pattern together from what can go wrong.
func randomPattern(r *rand.Rand) string {
	parts := []string{
		"a", "b", "c", "a", "b", "/", "/", "/", "*", "*", "**", "**/", "/**", "?", ".md", ".", "README.md", "node_modules", "[ab]", "[^a]", `\`, "ä", "x", "y", " ",
	}
	var p strings.Builder
	if r.IntN(3) == 0 {
		p.WriteString("!")
	}
	for range 1 + r.IntN(6) {
		p.WriteString(parts[r.IntN(len(parts))])
	}
	return p.String()
}

func TestIgnoreIsTheLibrarysForAnyPatterns(t *testing.T) {
	root := ignoreTree(t)
	r := rand.New(rand.NewPCG(3, 3))
	for range thorough.Times(100, 500) {
		patterns := make([]string, 1+r.IntN(4))
		for i := range patterns {
			patterns[i] = randomPattern(r)
		}
		if sameAsLibrary(t, root, patterns); t.Failed() {
			return
		}
	}
}

func FuzzIgnore(f *testing.F) {
	for _, lines := range []string{"*\n!a/b", "**/*.md\n!README.md", `x\*y`, "[^a]*", "a/**/c"} {
		f.Add(lines)
	}
	root := ignoreTree(f)
	f.Fuzz(func(t *testing.T, lines string) { sameAsLibrary(t, root, strings.Split(lines, "\n")) })
}

func TestNamesThatAreNoText(t *testing.T) {
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"\xff": "", "a": ""})
	root := buildkittest.Root(t, dir)
	if _, err := readTree(t.Context(), root, ".", nil, nil); err == nil || !contains(err.Error(), `"\xff": the name is not UTF-8 text`) {
		t.Errorf("error: %v", err)
	}
	if _, err := readTree(t.Context(), root, ".", []string{"?", "!a"}, nil); err != nil {
		t.Errorf("left out: %v", err)
	}
}

func TestUnchangedContextIsNotRead(t *testing.T) {
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"src/Dockerfile": "FROM scratch\n", "src/d/a": "1"})
	root := buildkittest.Root(t, dir)
	sums := filesum.Open(filepath.Join(t.TempDir(), "sums"))
	digest := func() string {
		b, err := Load(t.Context(), Source{Root: root, Context: "src", Sums: sums}, "0")
		must(t, err)
		return b.Parts()[PartContext]
	}
	want := digest()
	if got := digest(); got != want {
		t.Errorf("%s, then %s", want, got)
	}
	must(t, os.WriteFile(filepath.Join(dir, "src", "d", "a"), []byte("2"), 0o644))
	if digest() == want {
		t.Error("the digest doesn't change with a file")
	}
}
