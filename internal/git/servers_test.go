package git_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/thorough"
)

// Whatever the transport, all kinds of checkouts work, and out of the cache without the server.
func TestTransports(t *testing.T) {
	root := t.TempDir()
	repo := gittest.New(t, root, "repo")
	repo.Git("config", "uploadpack.allowFilter", "true")
	repo.Write("d/a", "1", 0o644)
	repo.Write("b", "1", 0o644)
	first := repo.Commit("first")
	repo.Git("tag", "v1")
	repo.Write("b", "2", 0o644)
	second := repo.Commit("second")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(fakeSSH), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_LOG", filepath.Join(bin, "log"))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for name, address := range map[string]string{
		"path": repo.Dir, "file": "file://" + repo.Dir, "ssh": "ssh://git@host.invalid" + repo.Dir, "scp": "git@host.invalid:" + repo.Dir,
		"git": gitDaemon(t, root) + "/repo",
	} {
		t.Run(name, func(t *testing.T) {
			store := cache.Open(t.TempDir(), 0)
			for _, o := range []git.Options{{}, {SubPath: "d"}, {KeepGit: true}, {KeepGit: true, Depth: 1}} {
				for ref, sha := range map[string]string{"main": second, "v1": first, first: first} {
					if ref != "main" && name != "git" && thorough.Times(1, 2) == 1 { // what a reference is, no transport knows
						continue
					}
					info, dir, err := through(t, store, address, ref, o)
					if err != nil || info.SHA != sha {
						t.Errorf("%s: %+v, %v", ref, info, err)
						continue
					}
					files := tree(t, dir)
					if files["d/a"] != "1" || len(files) != map[bool]int{true: 1, false: 2}[o.SubPath != ""] {
						t.Errorf("%s: %v", ref, files)
					}
					if o.KeepGit {
						gitIn(t, dir, "fsck", "--full")
					}
				}
			}
		})
	}
}

// gitDaemon serves the repositories below root by git's own protocol.
func gitDaemon(t *testing.T, root string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command("git", "daemon", "--export-all", "--base-path="+root, "--listen=127.0.0.1", fmt.Sprint("--port=", port), "--reuseaddr", "--verbose", "--log-destination=stderr")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _, _ = cmd.Process.Wait() })
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Ready to rumble") {
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Skip("git daemon doesn't start")
	}
	return fmt.Sprint("git://127.0.0.1:", port)
}

// Files of git-lfs come from the repository's own server with its credentials, from others without, and once.
func TestLFS(t *testing.T) {
	if _, err := exec.LookPath("git-lfs"); err != nil {
		t.Skip("git-lfs is not installed")
	}
	content := "a large file"
	sum := sha256.Sum256([]byte(content))
	id := hex.EncodeToString(sum[:])
	pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", id, len(content))
	root := t.TempDir()
	inner := gittest.Handler(t, root)
	downloads := 0
	var seen []string
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/objects/batch"):
			seen = append(seen, r.Header.Get("Authorization"))
			w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
			_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": []any{map[string]any{
				"oid": id, "size": len(content), "actions": map[string]any{"download": map[string]any{"href": server.URL + "/object"}},
			}}})
		case r.URL.Path == "/object":
			downloads++
			_, _ = w.Write([]byte(content))
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	repo := gittest.New(t, root, "repo")
	repo.Write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n", 0o644)
	repo.Git("config", "filter.lfs.clean", "cat")
	repo.Write("d/x.bin", pointer, 0o644)
	repo.Write("y", "1", 0o644)
	repo.Commit("c")
	t.Setenv("HOME", t.TempDir()) // nobody has run git lfs install
	store := cache.Open(t.TempDir(), 0)
	for _, o := range []git.Options{{}, {KeepGit: true}, {SubPath: "d"}, {SkipLFS: true}, {SkipLFS: true, KeepGit: true}} {
		_, dir, err := through(t, store, server.URL+"/repo/.git", "main", o)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		want := content
		if o.SkipLFS {
			want = pointer
		}
		if got := tree(t, dir)["d/x.bin"]; got != want {
			t.Errorf("%+v: got %q", o, got)
		}
	}
	if downloads > 2 { // the shallow and the full mirror
		t.Errorf("%d downloads", downloads)
	}
	// With credentials for another host, the file's server sees none.
	home := secureRemote(t, root, nil)
	repo.Write(".lfsconfig", "[lfs]\n\turl = "+server.URL+"/elsewhere\n", 0o644)
	repo.Commit("elsewhere")
	for _, force := range []bool{false, true} {
		seen = nil
		r := open(t, home.URL+"/repo/.git", git.Auth{Username: "me", Password: "p%ss w/rd", ForceBasic: force})
		refs, err := r.Refs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, _ := refs.Resolve("main")
		dir := t.TempDir()
		if _, err := r.Checkout(t.Context(), dir, c, git.Options{}); err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 || strings.Join(seen, "") != "" || tree(t, dir)["d/x.bin"] != content {
			t.Errorf("the other server saw %q", seen)
		}
	}
}

// Secrets of whatever form are in no error.
func TestErrorsShowNoSecrets(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_ = r.Header.Write(&b)
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(b.Bytes())
	}))
	defer server.Close()
	for _, force := range []bool{false, true} {
		_, err := open(t, server.URL+"/repo", git.Auth{Username: "me", Password: "s3cr3t/+ x", ForceBasic: force, SkipTLSVerify: true}).Refs(t.Context())
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "czNjcjN0") {
			t.Errorf("got %v", err)
		}
	}
}
