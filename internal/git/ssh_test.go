package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
)

// fakeSSH stands for ssh: it notes its arguments and the files they name, and runs the command here.
const fakeSSH = `#!/bin/sh
for a in "$@"; do
	printf '%s\n' "$a" >>"$SSH_LOG"
	f=${a#UserKnownHostsFile=}
	case $f in */private-key|*/known-hosts) stat -c '%a %n' "$f" | sed 's|/.*/||' >>"$SSH_LOG"; cat "$f" >>"$SSH_LOG";; esac
	last=$a
done
eval "$last"
`

func TestSSH(t *testing.T) {
	root := t.TempDir()
	r := gittest.New(t, root, "repo")
	r.Write("a", "x", 0o644)
	sha := r.Commit("c")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(fakeSSH), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "with space"))
	if err := os.Mkdir(os.Getenv("TMPDIR"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		auth     git.Auth
		want     []string
		trusting bool
	}{
		"both":    {git.Auth{PrivateKey: []byte("KEY"), KnownHosts: []byte("HOST")}, []string{"600 private-key\nKEY", "600 known-hosts\nHOST", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"}, false},
		"no host": {git.Auth{PrivateKey: []byte("KEY")}, []string{"600 private-key\nKEY", "StrictHostKeyChecking=accept-new"}, true},
		"neither": {git.Auth{}, []string{"git@host.invalid", "ServerAliveInterval=30"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			t.Setenv("SSH_LOG", log)
			repo, err := git.Open("ssh://git@host.invalid"+r.Dir, test.auth, "")
			if err != nil {
				t.Fatal(err)
			}
			if repo.TrustsUnknownHosts() != test.trusting {
				t.Errorf("trusting: %v", repo.TrustsUnknownHosts())
			}
			refs, err := repo.Refs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c, _ := refs.Resolve("main"); c.SHA != sha {
				t.Errorf("got %+v", c)
			}
			if err := repo.Close(); err != nil {
				t.Error(err)
			}
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("%q is not in %s", want, text)
				}
			}
			if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "strake-*")); len(left) > 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
