package git_test

import (
	"bytes"
	"crypto"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/signing"
)

// pgpKey makes an OpenPGP key, as gpg --armor --export gives it.
func pgpKey(t *testing.T, config *packet.Config) (*openpgp.Entity, []byte) {
	t.Helper()
	e, err := openpgp.NewEntity("a", "", "a@example.com", config)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Serialize(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	return e, b.Bytes()
}

func pgpSign(t *testing.T, e *openpgp.Entity, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, e, strings.NewReader(text), &packet.Config{DefaultHash: crypto.SHA256}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// sshKey makes an ssh key; the private one's file is returned, too.
func sshKey(t *testing.T, kind string) (file, public string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "a comment", "-f", file).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen: %v %s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(text))
}

func sshSign(t *testing.T, file, namespace, text string) string {
	t.Helper()
	cmd := exec.Command("ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", file)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const by = "Git <git@example.com> 1700000000 +0000\n"

// signedCommit makes a commit whose signature is of what is signed, and gives it a branch.
func signedCommit(t *testing.T, r *gittest.Repo, branch, parent string, sign func(string) string) string {
	t.Helper()
	head := "tree " + r.Git("rev-parse", parent+"^{tree}") + "\nparent " + parent + "\nauthor " + by + "committer " + by
	message := "\nmessage of " + branch + "\n"
	text := head + message
	if signature := sign(text); signature != "" {
		text = head + "gpgsig " + strings.ReplaceAll(strings.TrimSpace(signature), "\n", "\n ") + "\n" + message
	}
	sha := r.Object("commit", text)
	r.Ref("refs/heads/"+branch, sha)
	return sha
}

func signedTag(t *testing.T, r *gittest.Repo, ref, name, commit string, sign func(string) string) {
	t.Helper()
	text := "object " + commit + "\ntype commit\ntag " + name + "\ntagger " + by + "\nmessage\n"
	r.Ref("refs/tags/"+ref, r.Object("tag", text+sign(text)))
}

func TestVerification(t *testing.T) {
	root, url, count := counted(t)
	repo := gittest.New(t, root, "repo")
	repo.Write("a", "1", 0o644)
	base := repo.Commit("unsigned")
	friend, friendKey := pgpKey(t, nil)
	stranger, strangerKey := pgpKey(t, nil)
	year := uint32(365 * 24 * 3600)
	old, oldKey := pgpKey(t, &packet.Config{KeyLifetimeSecs: year, Time: func() time.Time { return time.Now().Add(-3 * 365 * 24 * time.Hour) }})
	sshFile, sshPublic := sshKey(t, "ed25519")
	rsaFile, rsaPublic := sshKey(t, "rsa")
	_, otherPublic := sshKey(t, "ed25519")
	by := func(e *openpgp.Entity) func(string) string {
		return func(text string) string { return pgpSign(t, e, text) }
	}
	bySSH := func(file, namespace string) func(string) string {
		return func(text string) string { return sshSign(t, file, namespace, text) }
	}
	nobody := func(string) string { return "" }
	signedCommit(t, repo, "good", base, by(friend))
	signedCommit(t, repo, "stranger", base, by(stranger))
	signedCommit(t, repo, "old", base, func(text string) string {
		var b bytes.Buffer
		past := &packet.Config{Time: func() time.Time { return time.Now().Add(-3 * 365 * 24 * time.Hour) }}
		if err := openpgp.ArmoredDetachSign(&b, old, strings.NewReader(text), past); err != nil {
			t.Fatal(err)
		}
		return b.String()
	})
	signedCommit(t, repo, "changed", base, func(text string) string { return pgpSign(t, friend, text+"x") })
	signedCommit(t, repo, "torn", base, func(text string) string { return pgpSign(t, friend, text)[:200] })
	signedCommit(t, repo, "x509", base, func(string) string { return "-----BEGIN SIGNED MESSAGE-----\nx\n-----END SIGNED MESSAGE-----" })
	signedCommit(t, repo, "ssh", base, bySSH(sshFile, "git"))
	signedCommit(t, repo, "ssh-rsa", base, bySSH(rsaFile, "git"))
	signedCommit(t, repo, "ssh-file", base, bySSH(sshFile, "file"))
	signedCommit(t, repo, "ssh-changed", base, func(text string) string { return sshSign(t, sshFile, "git", text+"x") })
	plain := signedCommit(t, repo, "plain", base, nobody)
	signedTag(t, repo, "v1", "v1", plain, by(friend))
	signedTag(t, repo, "v2", "v2", plain, by(stranger))
	signedTag(t, repo, "v3", "v3", plain, bySSH(sshFile, "git"))
	signedTag(t, repo, "v4", "v1", plain, by(friend)) // v1 under another name
	signedTag(t, repo, "v5", "v5", plain, func(text string) string { return pgpSign(t, friend, text) + "more\n" })
	signedTag(t, repo, "v6", "v6", repo.Git("rev-parse", "good"), nobody)
	repo.Git("tag", "light", "good")
	repo.Git("tag", "light-plain", "plain")
	ssh := [][]byte{[]byte(sshPublic)}
	pgp := [][]byte{commented(friendKey)}
	tests := map[string]struct {
		ref  string
		keys [][]byte
		// want is a part of the error; empty means that there is none.
		want     string
		unsigned bool
	}{
		"commit":                      {"good", pgp, "", false},
		"commit by one of two":        {"good", [][]byte{strangerKey, friendKey}, "", false},
		"keys in one entry":           {"good", [][]byte{append(append([]byte{}, strangerKey...), friendKey...)}, "", false},
		"keys of both kinds":          {"ssh", [][]byte{append(append([]byte{}, friendKey...), "\n"+sshPublic...)}, "", false},
		"unsigned":                    {"main", pgp, "it isn't signed, and a signature by one of these keys is required: OpenPGP " + friend.PrimaryKey.KeyIdString(), true},
		"stranger":                    {"stranger", pgp, "it is signed by OpenPGP key " + stranger.PrimaryKey.KeyIdString() + ", expected one of OpenPGP " + friend.PrimaryKey.KeyIdString(), false},
		"changed":                     {"changed", pgp, "is not good", false},
		"torn":                        {"torn", pgp, "can't be read", false},
		"x509":                        {"x509", pgp, "expected one of OpenPGP or ssh", false},
		"expired key":                 {"old", [][]byte{oldKey}, "expired", false},
		"ssh":                         {"ssh", ssh, "", false},
		"ssh rsa":                     {"ssh-rsa", [][]byte{[]byte(rsaPublic)}, "", false},
		"ssh allowed signer":          {"ssh", [][]byte{[]byte("# ours\nme@example.com,you@example.com " + sshPublic + "\n")}, "", false},
		"ssh namespaces":              {"ssh", [][]byte{[]byte(`me@example.com namespaces="file,git" ` + sshPublic)}, "", false},
		"ssh other namespaces":        {"ssh", [][]byte{[]byte(`me@example.com namespaces="file" ` + sshPublic)}, "not for commits and tags", false},
		"ssh in time":                 {"ssh", [][]byte{[]byte(`* valid-after="20200101Z",valid-before="20300101Z" ` + sshPublic)}, "", false},
		"ssh too early":               {"ssh", [][]byte{[]byte(`* valid-after="20300101Z" ` + sshPublic)}, "valid after 2030-01-01", false},
		"ssh too late":                {"ssh", [][]byte{[]byte(`* valid-before="20200101" ` + sshPublic)}, "was valid before", false},
		"ssh wrong time":              {"ssh", [][]byte{[]byte(`* valid-before="tomorrow" ` + sshPublic)}, "is not a time", false},
		"ssh authority":               {"ssh", [][]byte{[]byte(`* cert-authority ` + sshPublic)}, "not supported", false},
		"ssh stranger":                {"ssh", [][]byte{[]byte(otherPublic)}, "expected one of ssh SHA256:", false},
		"ssh for files":               {"ssh-file", ssh, `has the namespace "file"`, false},
		"ssh changed":                 {"ssh-changed", ssh, "is not good", false},
		"ssh commit, OpenPGP key":     {"ssh", pgp, "it is signed by ssh key SHA256:", false},
		"tag":                         {"v1", pgp, "", false},
		"tag by a stranger":           {"v2", pgp, "tag v2: it is signed by", false},
		"tag by ssh":                  {"v3", ssh, "", false},
		"tag under another name":      {"v4", pgp, `it is the tag "v1" under another name`, false},
		"tag with an appendix":        {"v5", pgp, "something follows its signature", false},
		"unsigned tag, signed commit": {"v6", pgp, "tag v6: it isn't signed", true},
		"light tag":                   {"light", pgp, "", false},
		"light tag, unsigned":         {"light-plain", pgp, "isn't signed", true},
		"commit by its name":          {repo.Git("rev-parse", "good"), pgp, "", false},
		"no key":                      {"good", [][]byte{[]byte("\n# none\n")}, "there is no public key", false},
		"no key at all":               {"good", [][]byte{{}}, "there is no public key", false},
		"private key":                 {"good", [][]byte{[]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n-----END PGP PRIVATE KEY BLOCK-----\n")}, "is not an OpenPGP public key", false},
		"key without end":             {"good", [][]byte{friendKey[:100]}, "has no end", false},
		"nonsense":                    {"good", [][]byte{[]byte("nonsense")}, "public key 1: a line is not an ssh public key", false},
	}
	store := cache.Open(t.TempDir(), 0)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// The second time it comes from the cache, and is refused all the same.
			for range 2 {
				_, dir, err := through(t, store, url+"/repo/.git", test.ref, git.Options{Keys: test.keys})
				if test.want == "" {
					if err != nil || tree(t, dir)["a"] != "1" {
						t.Errorf("got %v", err)
					}
					continue
				}
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				if v, ok := errors.AsType[*signing.VerifyError](err); ok && v.Unsigned != test.unsigned {
					t.Errorf("unsigned: %v", v.Unsigned)
				}
				if dir != "" && len(tree(t, dir)) > 0 {
					t.Errorf("%v was checked out", tree(t, dir))
				}
			}
		})
	}
	// A lock names the commit, and tags of it that are known.
	r := open(t, url+"/repo/.git", git.Auth{})
	for tag, ok := range map[string]bool{"v1": true, "v2": false, "light-plain": false} {
		_, err := r.Checkout(t.Context(), t.TempDir(), git.Commit{SHA: plain, Tags: []string{tag}}, git.Options{Keys: pgp})
		if (err == nil) != ok {
			t.Errorf("the commit with tag %s: %v", tag, err)
		}
	}
	// Or the lock names nothing but the commit: tags are found, and asked for only if none is here.
	count.Take()
	for name, test := range map[string]struct {
		store *cache.Store
		want  gittest.Count
	}{"known": {store, gittest.Count{}}, "unknown": {cache.Open(t.TempDir(), 0), gittest.Count{Lists: 2, Fetches: 2}}} {
		if _, _, err := through(t, test.store, url+"/repo/.git", plain, git.Options{Keys: pgp}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n, _ := count.Take(); n != test.want {
			t.Errorf("%s: asked %+v", name, n)
		}
	}
	if _, dir, err := through(t, store, url+"/repo/.git", base, git.Options{Keys: pgp}); err == nil || len(tree(t, dir)) > 0 {
		t.Errorf("an unsigned commit: %v", err)
	}
}

// commented puts a comment and spaces before a key, as in files made by hand.
func commented(key []byte) []byte { return append([]byte("# the team's key\r\n\r\n"), key...) }

// What git itself signs by ssh is good, and so is what it says of it.
func TestGitSigns(t *testing.T) {
	root, url, _ := counted(t)
	file, public := sshKey(t, "ed25519")
	repo := gittest.New(t, root, "repo")
	repo.Git("-c", "gpg.format=ssh", "-c", "user.signingKey="+file, "commit", "--quiet", "--allow-empty", "-S", "-m", "signed")
	repo.Git("-c", "gpg.format=ssh", "-c", "user.signingKey="+file, "tag", "-s", "v1", "-m", "signed")
	for _, ref := range []string{"main", "v1"} {
		if _, _, err := through(t, nil, url+"/repo/.git", ref, git.Options{Keys: [][]byte{[]byte(public)}}); err != nil {
			t.Error(err)
		}
	}
}
