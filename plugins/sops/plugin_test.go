package sops

import (
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"strake.dev/strake/internal/sopsfile"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// newAge makes a key, as the text of its file and as a recipient.
func newAge(t *testing.T) (string, age.Recipient) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return "# created: today\n" + id.String() + "\n", id.Recipient()
}

func TestConformance(t *testing.T) {
	secret, recipient := newAge(t)
	other, _ := newAge(t)
	const plainText = "password: open-sesame\n"
	sealed, err := sopsfile.Encrypt([]byte(plainText), "^password$", []age.Recipient{recipient}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	encrypted := string(sealed)
	objects := stagetest.Objects{Secrets: map[string]map[string]string{
		"keys": {"a.txt": other, "b.txt": secret}, "wrong": {"a.txt": other}, "text": {"a.txt": "no key at all"},
	}}
	const config = "age: {privateKeysSecretRef: {name: keys}}\n"
	yields := func(want map[string]string, hidden ...string) func(testing.TB, *stages.Job, stages.Result) {
		return func(t testing.TB, job *stages.Job, r stages.Result) {
			if r.Overlay == nil || len(r.Overlay.Files) != len(want) || len(r.Overlay.Hidden) != len(hidden) {
				t.Fatalf("expected the files %v, found %+v", want, r.Overlay)
			}
			for name, content := range want {
				if string(r.Overlay.Files[name]) != content {
					t.Errorf("%s: expected %q, found %q", name, content, r.Overlay.Files[name])
				}
			}
			for _, name := range hidden {
				if !r.Overlay.Hidden[name] {
					t.Errorf("%s is still seen", name)
				}
			}
			if left := stagetest.ReadFiles(t, job.Out); len(left) > 0 {
				t.Errorf("plain files were written: %v", left)
			}
		}
	}
	stagetest.Run(t, Plugin(),
		stagetest.Case{
			Name: "whole folder", Config: config, Objects: objects,
			Files: map[string]string{"config/db.sops.yml": encrypted, "x.sops.yaml": encrypted, "other.yml": "a: b", "y.sops.json": "{}"},
			Check: yields(map[string]string{"config/db.yml": plainText, "x.yaml": plainText}, "config/db.sops.yml", "x.sops.yaml"),
		},
		stagetest.Case{
			Name: "paths", Config: config + "paths: [config, one.sops.yml]", Objects: objects,
			Files: map[string]string{"config/db.sops.yml": encrypted, "one.sops.yml": encrypted, "not/x.sops.yml": "a: b"},
			Check: yields(map[string]string{"config/db.yml": plainText, "one.yml": plainText}, "config/db.sops.yml", "one.sops.yml"),
		},
		stagetest.Case{
			Name: "nothing to decrypt", Config: config, Objects: objects, Files: map[string]string{"a.yml": "a: b"},
			Check: func(t testing.TB, job *stages.Job, _ stages.Result) {
				if w := stagetest.Recorded(job).Messages(stages.Warning); len(w) != 1 || !strings.Contains(w[0], ".sops.yml") {
					t.Errorf("expected a warning, found %v", w)
				}
			},
		},
		stagetest.Case{
			Name: "wrong key", Config: "age: {privateKeysSecretRef: {name: wrong}}", Objects: objects,
			Files:     map[string]string{"a.sops.yml": encrypted},
			WantError: "a.sops.yml: none of the private keys is one that it was encrypted for: age1", WantHint: "sops updatekeys",
		},
		stagetest.Case{
			Name: "no key", Config: "age: {privateKeysSecretRef: {name: text}}", Objects: objects,
			WantError: "age.privateKeysSecretRef: Secret text, key a.txt: is not a file of age keys", WantHint: "age-keygen",
		},
		stagetest.Case{
			Name: "age key as PGP", Config: "pgp: {privateKeysSecretRef: {name: keys}}", Objects: objects,
			WantError: "holds no armored private key", WantHint: "gpg --armor",
		},
		stagetest.Case{
			Name: "no Secret", Config: "age: {privateKeysSecretRef: {name: none}}",
			WantError: "age.privateKeysSecretRef: Secret none: ", WantHint: "add the Secret to the App's file",
		},
		stagetest.Case{
			Name: "manifests so far", Config: config, Objects: objects, Manifests: "a: 1\n",
			WantError: "can't go on from the manifests so far", WantHint: "before the other template steps",
		},
		stagetest.Case{
			Name: "no such path", Config: config + "paths: [none]", Objects: objects,
			WantError: "paths: none: no such file or folder", WantHint: "count from the App's folder",
		},
	)
}

func TestBadConfig(t *testing.T) {
	stagetest.RunBad(t, Plugin(),
		stagetest.BadConfig{Name: "no keys", Config: "paths: [a]", Want: "test.yaml:1:1: expected exactly one of age, pgp"},
		stagetest.BadConfig{Name: "two kinds", Config: "age: {privateKeysSecretRef: {name: a}}\npgp: {privateKeysSecretRef: {name: a}}", Want: "expected exactly one of age, pgp"},
		stagetest.BadConfig{Name: "no reference", Config: "age: {}", Want: "age.privateKeysSecretRef: missing, but required"},
		stagetest.BadConfig{Name: "path out", Config: "age: {privateKeysSecretRef: {name: a}}\npaths: [../x]", Want: "test.yaml:2:9: paths[0]: ../x: leads out of the App's folder"},
	)
}
