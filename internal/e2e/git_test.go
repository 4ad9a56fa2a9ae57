package e2e

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// serveGit puts the world's src and config into a repository and serves it.
func serveGit(t testing.TB, w *world) string {
	t.Helper()
	work := t.TempDir()
	for _, folder := range []string{"src", "config"} {
		if err := os.CopyFS(filepath.Join(work, folder), os.DirFS(filepath.Join(w.dir, folder))); err != nil {
			t.Fatal(err)
		}
	}
	return serveRepositories(t, map[string]string{"app": work}) + "/app.git"
}

// serveRepositories makes a repository of each folder, by its name, and serves them by git's own HTTP
// backend, at NAME.git below the URL that it returns.
func serveRepositories(t testing.TB, folders map[string]string) string {
	t.Helper()
	root := t.TempDir()
	run := func(dir string, args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for name, folder := range folders {
		work := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(work, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		run(work, "init", "-q", "-b", "main")
		run(work, "add", ".")
		run(work, "commit", "-qm", "all of it")
		repo := filepath.Join(root, name+".git")
		run(root, "clone", "-q", "--bare", work, repo)
		run(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(run(root, "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL
}
