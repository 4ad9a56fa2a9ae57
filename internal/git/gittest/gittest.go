// Package gittest makes git repositories and serves them over HTTP, for tests.
package gittest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Repo is a repository on this machine.
type Repo struct {
	t   testing.TB
	Dir string
	// clock is the time in seconds of the next commit or tag, so that their names are the same in each run.
	clock int
}

// New returns an empty repository below root.
func New(t testing.TB, root, name string) *Repo {
	t.Helper()
	r := &Repo{t: t, Dir: filepath.Join(root, name)}
	for _, folder := range []string{"objects", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(r.Dir, ".git", folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.Write(".git/HEAD", "ref: refs/heads/main\n", 0o644)
	r.Write(".git/config", "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n", 0o644)
	return r
}

// Git runs git in the repository and returns what it says.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	date := fmt.Sprintf("%d +0000", 1700000000+r.clock)
	r.clock++
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com",
		"GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "GIT_ALLOW_PROTOCOL=file:http:https",
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=maintenance.auto", "GIT_CONFIG_VALUE_0=false", "GIT_CONFIG_KEY_1=core.fsync", "GIT_CONFIG_VALUE_1=none")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Write writes a file of the repository.
func (r *Repo) Write(name, content string, perm os.FileMode) {
	r.t.Helper()
	p := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), perm); err != nil {
		r.t.Fatal(err)
	}
}

// Link makes a symbolic link in the repository.
func (r *Repo) Link(target, name string) {
	r.t.Helper()
	if err := os.Symlink(target, filepath.Join(r.Dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// Commit commits everything and returns the commit's name.
func (r *Repo) Commit(message string) string {
	r.t.Helper()
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	name := r.read(".git/HEAD")
	if ref, ok := strings.CutPrefix(name, "ref: "); ok {
		name = r.read(".git/" + ref)
	}
	return name
}

func (r *Repo) read(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.Dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// Object stores an object as it is, also one that git itself wouldn't make, and returns its name.
func (r *Repo) Object(kind, content string) string {
	r.t.Helper()
	text := fmt.Appendf(nil, "%s %d\x00%s", kind, len(content), content)
	name := fmt.Sprintf("%x", sha1.Sum(text))
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		r.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.Write(filepath.Join(".git/objects", name[:2], name[2:]), packed.String(), 0o644)
	return name
}

// Ref has a reference lead to an object.
func (r *Repo) Ref(name, object string) {
	r.t.Helper()
	r.Write(filepath.Join(".git", name), object+"\n", 0o644)
}
