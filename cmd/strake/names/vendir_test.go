package names

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const vendirHead = "apiVersion: vendir.k14s.io/v1alpha1\nkind: Config\n"

// vendirFiles are what the calls of the table find in their folder. HOST is a registry, DIGEST that of
// its app:1, WEB a web server, REPO a git repository.
var vendirFiles = map[string]string{
	"vendir.yml":         vendirHead + "directories:\n- path: out\n  contents:\n  - {path: a, inline: {paths: {x.yml: 'a: 1', d/y.txt: hello}}}\n  - {path: b, directory: {path: local}, includePaths: ['*.txt']}\n  - {path: c, directory: {path: local}, newRootPath: deep}\n- path: out2\n  permissions: 0755\n  contents:\n  - {path: ., inline: {paths: {z: z}}}\n",
	"local/a.txt":        "a\n",
	"local/deep/b.md":    "b\n",
	"local/LICENSE":      "free\n",
	"git.yml":            vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    git: {url: REPO, ref: origin/main}\n    excludePaths: [.git/**/*]\n",
	"git-tag.yml":        vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    git: {url: REPO, refSelection: {semver: {constraints: '>0.1.0'}}, depth: 1}\n    excludePaths: [.git/**/*]\n",
	"git-head.yml":       vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    git: {url: REPO, ref: HEAD}\n",
	"git-nowhere.yml":    vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    git: {url: REPO/nowhere, ref: main}\n",
	"http.yml":           vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    http: {url: WEB/file.txt}\n",
	"http-sha.yml":       vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    http: {url: WEB/file.txt, sha256: abc}\n",
	"http-gone.yml":      vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    http: {url: WEB/gone}\n",
	"http-secret.yml":    vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    http: {url: WEB/private.txt, secretRef: {name: login}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\ndata: {username: dXNlcg==, password: cGFzcw==}\n",
	"no-secret.yml":      vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    http: {url: WEB/file.txt, secretRef: {name: login}}\n",
	"image.yml":          vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    image: {url: 'HOST/app:1'}\n",
	"image-digest.yml":   vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    image: {url: HOST/app@DIGEST}\n",
	"image-tag.yml":      vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    image: {url: HOST/semver, tagSelection: {semver: {constraints: '>0.1.0'}}}\n",
	"image-gone.yml":     vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    image: {url: 'HOST/app:gone'}\n",
	"bundle.yml":         vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    imgpkgBundle: {image: 'HOST/app:1'}\n",
	"helm.yml":           vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    helmChart: {name: a, version: 1.0.0, repository: {url: WEB}}\n",
	"manual.yml":         vendirHead + "directories:\n- path: local\n  contents:\n  - {path: deep, manual: {}}\n",
	"lazy.yml":           vendirHead + "directories:\n- path: out\n  contents:\n  - {path: a, lazy: true, inline: {paths: {x.yml: 'a: 1'}}}\n",
	"maps.yml":           vendirHead + "directories:\n- path: out\n  contents:\n  - {path: ., inline: {pathsFrom: [{configMapRef: {name: m, directoryPath: d}}]}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {f.txt: text}\n",
	"two.yml":            vendirHead + "directories:\n- path: out\n  contents:\n  - {path: a, inline: {paths: {x: x}}, directory: {path: local}}\n",
	"none.yml":           vendirHead + "directories:\n- path: out\n  contents:\n  - {path: a}\n",
	"nested.yml":         vendirHead + "directories:\n- {path: out, contents: [{path: a, inline: {paths: {x: x}}}]}\n- {path: out/b, contents: [{path: a, inline: {paths: {x: x}}}]}\n",
	"dot.yml":            vendirHead + "directories:\n- {path: ., contents: [{path: a, inline: {paths: {x: x}}}]}\n",
	"empty.yml":          "",
	"other.yml":          "apiVersion: v1\nkind: Pod\n",
	"broken.yml":         "a: b: c\n",
	"new.yml":            vendirHead + "minimumRequiredVersion: 9.0.0\ndirectories: []\n",
	"nothing-left.yml":   vendirHead + "directories:\n- path: out\n  contents:\n  - {path: a, directory: {path: local}, includePaths: [nope]}\n",
	"git.lock.yml":       "apiVersion: vendir.k14s.io/v1alpha1\nkind: LockConfig\ndirectories:\n- path: out\n  contents:\n  - path: .\n    git: {sha: SHA, commitTitle: first}\n",
	"other.lock.yml":     "apiVersion: vendir.k14s.io/v1alpha1\nkind: LockConfig\ndirectories: []\n",
	"vendir.lock.broken": "a: b: c\n",
}

// vendirCalls are command lines; “<” and a file are standard input.
var vendirCalls = []string{
	"", "--help", "-h", "help", "help sync", "sync --help", "tools", "tools --help", "tools sort-semver --help", "help nope", "nope", "--nope", "sync --nope", "sync extra", "completion --help", "completion zsh", "__complete s",
	"version", "--version", "-v", "version --json", "version --tty", "version extra", "--tty", "sync --json", "sync --tty", "sync --color=false",
	"tools sort-semver -v 1.0.0,0.9.0,2.0.0-rc.1", "tools sort-semver -v 1.0.0 -v 0.9.0 -c >0.9", "tools sort-semver -v 1.0.0-rc.1 --prerelease", "tools sort-semver -v a", "tools sort-semver", "tools sort-semver -v 1.0.0 -c x",

	"sync", "sync -f vendir.yml --lock-file l.yml", "sync -f vendir.yml -d out/a", "sync -d out/a=local", "sync -d out", "sync -d nope", "sync -d out/nope", "sync --chdir local", "sync --chdir local -f ../vendir.yml", "sync --chdir nope", "sync -f - <vendir.yml", "sync -f - --lock-file /dev/null <vendir.yml", "sync -f vendir.yml -f git.yml", "sync -f nope.yml",
	"sync -l", "sync -l -f git.yml --lock-file git.lock.yml", "sync -l -f git.yml --lock-file other.lock.yml", "sync -l --lock-file vendir.lock.broken", "sync --lock-file no/such/lock.yml", "sync --lazy=false -f lazy.yml", "sync -f lazy.yml",
	"sync -f git.yml", "sync -f git-tag.yml", "sync -f git-head.yml", "sync -f git-nowhere.yml", "sync -f http.yml", "sync -f http-sha.yml", "sync -f http-gone.yml", "sync -f http-secret.yml", "sync -f no-secret.yml",
	"sync -f image.yml", "sync -f image-digest.yml", "sync -f image-tag.yml", "sync -f image-gone.yml", "sync -f bundle.yml", "sync -f helm.yml", "sync -f manual.yml", "sync -f maps.yml",
	"sync -f two.yml", "sync -f none.yml", "sync -f nested.yml", "sync -f dot.yml", "sync -f empty.yml", "sync -f other.yml", "sync -f broken.yml", "sync -f new.yml", "sync -f nothing-left.yml",
}

// volatile is what differs with each run of vendir.
var volatile = regexp.MustCompile(`\.vendir-tmp-\d+`)

// gitLines are what vendir prints of the git commands that it runs.
var gitLines = regexp.MustCompile(`(?m)^ *"?  \| .*\n`)

func TestVendir(t *testing.T) {
	t.Parallel()
	dir, fill := vendirFolder(t)
	for _, line := range vendirCalls {
		t.Run(line, func(t *testing.T) {
			often(t, line)
			args, stdin, _ := strings.Cut(line, " <")
			want, got := both(t, "vendir", call{args: strings.Fields(args), dir: dir, stdin: fill[stdin], env: []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}})
			alike(&want)
			alike(&got)
			if line == "sync -f git-head.yml" {
				// vendir doesn't find the branch that is the repository's own.
				if want.Code != 1 || got.Code != 0 || !strings.Contains(got.Stdout, "commitTitle: v0.2.0") {
					t.Errorf("vendir: %+v\nours: %+v", want, got)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-vendir +ours):\n%s", diff)
			}
		})
	}
}

// alike takes out of a result of vendir what ours has in another way.
func alike(r *result) {
	r.Stdout, r.Stderr = volatile.ReplaceAllString(r.Stdout, "…"), volatile.ReplaceAllString(r.Stderr, "…")
	r.Stdout = gitLines.ReplaceAllString(r.Stdout, "")
	maps.DeleteFunc(r.Files, func(name, _ string) bool { return strings.Contains(name, ".git") || strings.HasPrefix(name, ".cache") })
	// A fetcher's error is in words of its own.
	if first, _, ok := strings.Cut(r.Stderr, "\n"); ok && r.Code == 1 && strings.HasPrefix(first, "vendir: Error: Syncing directory") {
		r.Stderr = first
	}
	for name, text := range r.Files {
		// Of modes, whether a file may be executed is kept.
		mode, content, _ := strings.Cut(text, "\n")
		r.Files[name] = fmt.Sprintf("%c%t\n%s", mode[0], mode[0] == '-' && mode[3] == 'x', content)
	}
}

// With --json, vendir ends without what it has to say when it fails. Ours says it.
func TestVendirJSONError(t *testing.T) {
	want, got := both(t, "vendir", call{args: []string{"sync", "--json"}, dir: t.TempDir()})
	if want.Code != 1 || want.Stdout != "" || got.Code != 1 || !strings.Contains(got.Stdout, "vendir: Error: Reading config 'vendir.yml'") {
		t.Errorf("vendir: %+v\nours: %+v", want, got)
	}
}

// vendirFolder makes a folder of the files, which name servers that run as long as the test.
func vendirFolder(t *testing.T) (dir string, files map[string]string) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/file.txt", r.URL.Path == "/private.txt" && user == "user" && password == "pass":
			_, _ = io.WriteString(w, "from the web\n")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close)
	registry := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(registry.Close)
	host, digest := strings.TrimPrefix(registry.URL, "http://"), ""
	for _, ref := range []string{"app:1", "semver:0.1.0", "semver:0.2.0"} {
		img, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := name.NewTag(host + "/" + ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(tag, img); err != nil {
			t.Fatal(err)
		}
		if digest == "" {
			d, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			digest = d.String()
		}
	}
	repo, sha := repository(t)
	values := strings.NewReplacer("HOST", host, "DIGEST", digest, "WEB", web.URL, "REPO", repo, "SHA", sha)
	files = map[string]string{}
	for name, text := range vendirFiles {
		files[name] = values.Replace(text)
	}
	return folder(t, files), files
}

// repository makes a git repository and returns its path and the commit of its tag v0.1.0.
func repository(t *testing.T) (path, sha string) {
	t.Helper()
	dir := folder(t, map[string]string{"a.txt": "a\n"})
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	for _, tag := range []string{"v0.1.0", "v0.2.0"} {
		if err := os.WriteFile(filepath.Join(dir, "tag.txt"), []byte(tag), 0o600); err != nil {
			t.Fatal(err)
		}
		git("add", ".")
		git("commit", "-q", "-m", tag)
		git("tag", tag)
	}
	return dir, git("rev-parse", "v0.1.0")
}
