package sopsfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/peers"
)

const plain = `# head of the file
apiVersion: v1
kind: Secret
metadata:
    name: db # beside a name
    labels: {a: b}
# over data
stringData:
    password: open-sesame
    port: 5432
    ratio: 0.25
    "on": true
    empty: ""
    nothing: null
    when: 2026-01-02T03:04:05Z
    number-like: "012"
    multi: |
        first line
        second line
list:
    # over an item
    - one
    - two: {three: drei}
    - 4
plain_unencrypted: readable
---
second: document
`

// newAge makes a key, and the field of a rule of sops that encrypts for it.
func newAge(t *testing.T) (secret, rule string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return "# created: today\n" + id.String() + "\n", "age: " + id.Recipient().String()
}

// newPGP makes a key, and a folder with its public and private rings.
func newPGP(t *testing.T) (secret, home, rule string) {
	t.Helper()
	e, err := openpgp.NewEntity("test", "", "test@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var armored, private, public bytes.Buffer
	w, err := armor.Encode(&armored, openpgp.PrivateKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{e.SerializePrivate(w, nil), w.Close(), e.SerializePrivate(&private, nil), e.Serialize(&public)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	home = t.TempDir()
	for name, data := range map[string][]byte{"secring.gpg": private.Bytes(), "pubring.gpg": public.Bytes()} {
		if err := os.WriteFile(filepath.Join(home, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return armored.String(), home, "pgp: " + strings.ToUpper(fingerprint(e))
}

func fingerprint(e *openpgp.Entity) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range e.PrimaryKey.Fingerprint {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// encrypt returns a file encrypted by sops' command, and what the command decrypts it to.
func encrypt(t *testing.T, text string, env []string, rule ...string) (encrypted, decrypted string) {
	t.Helper()
	sops := peers.Tool(t, "sops")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".sops.yaml"), []byte("creation_rules:\n- "+strings.Join(rule, "\n  ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	encrypted, err := peers.Run(t, dir, "", env, sops, "encrypt", "a.yaml")
	if err != nil {
		t.Fatalf("sops encrypt: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "e.yaml"), []byte(encrypted), 0o600); err != nil {
		t.Fatal(err)
	}
	decrypted, err = peers.Run(t, dir, "", env, sops, "decrypt", "e.yaml")
	if err != nil {
		t.Fatalf("sops decrypt: %v", err)
	}
	return encrypted, decrypted
}

func TestSameAsSops(t *testing.T) {
	secret, rule := newAge(t)
	other, otherRule := newAge(t)
	ring, err := AgeKeys([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"SOPS_AGE_KEY=" + secret + other, "HOME=" + t.TempDir()}
	tests := map[string][]string{
		"all":                 {rule},
		"two recipients":      {otherRule + "," + strings.TrimPrefix(rule, "age: ")},
		"encrypted suffix":    {rule, "encrypted_suffix: name"},
		"unencrypted suffix":  {rule, "unencrypted_suffix: ta"},
		"encrypted regex":     {rule, "encrypted_regex: ^(data|stringData)$"},
		"unencrypted regex":   {rule, "unencrypted_regex: ^(apiVersion|metadata)$"},
		"encrypted comment":   {rule, "encrypted_comment_regex: over"},
		"unencrypted comment": {rule, "unencrypted_comment_regex: beside"},
		"only encrypted MAC":  {rule, "mac_only_encrypted: true", "encrypted_regex: ^stringData$"},
	}
	for name, rules := range tests {
		t.Run(name, func(t *testing.T) {
			encrypted, want := encrypt(t, plain, env, rules...)
			var hidden []string
			got, err := Decrypt([]byte(encrypted), Keys{ring}, func(b []byte) { hidden = append(hidden, string(b)) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("output differs (-sops +strake):\n%s", diff)
			}
			if !strings.Contains(encrypted, "open-sesame") && !strings.Contains(strings.Join(hidden, "\n"), "open-sesame") {
				t.Error("the password was not hidden")
			}
		})
	}
}

func TestSameAsSopsWithPGP(t *testing.T) {
	secret, home, rule := newPGP(t)
	otherSecret, _, _ := newPGP(t)
	encrypted, want := encrypt(t, plain, []string{"GNUPGHOME=" + home}, rule)
	both, err := PGPKeys([]byte(otherSecret + "\n" + secret))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decrypt([]byte(encrypted), Keys{both}, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("output differs (-sops +strake):\n%s", diff)
	}
	wrong, err := PGPKeys([]byte(otherSecret))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decrypt([]byte(encrypted), Keys{wrong}, func([]byte) {}); err == nil || !strings.Contains(err.Error(), "none of the private keys") {
		t.Errorf("expected an error for the wrong key, found %v", err)
	}
}

func TestDamagedFiles(t *testing.T) {
	secret, rule := newAge(t)
	ring, err := AgeKeys([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	encrypted, _ := encrypt(t, "a: first-secret\nb: second-secret\nc_unencrypted: 1\n", []string{"SOPS_AGE_KEY=" + secret}, rule)
	lines := strings.Split(encrypted, "\n")
	swapped := append([]string{"a" + strings.TrimPrefix(lines[1], "b"), "b" + strings.TrimPrefix(lines[0], "a")}, lines[2:]...)
	tests := map[string]struct{ text, want string }{
		"unencrypted value changed": {strings.Replace(encrypted, "c_unencrypted: 1", "c_unencrypted: 2", 1), "MAC mismatch"},
		"value added":               {"d_unencrypted: x\n" + encrypted, "MAC mismatch"},
		"values swapped":            {strings.Join(swapped, "\n"), "line 1: a: the encrypted value was changed, or moved from another place"},
		"value in plain text":       {"d: secret-by-hand\n" + encrypted, "line 1: d: is not encrypted, although it should be"},
		"number in plain text":      {"d: 12\n" + encrypted, "line 1: expected an encrypted value at d"},
		"not encrypted":             {"a: b\n", "is not encrypted: it has no key “sops”"},
		"no YAML":                   {"a: b: c\n", "is not YAML"},
		"a list":                    {"- a\n", "expected a mapping"},
		"empty":                     {"", "is not encrypted"},
		"groups":                    {"a: b\nsops:\n  key_groups: [{age: []}, {age: []}]\n", "several groups"},
		"bad regex":                 {"a: b\nsops:\n  encrypted_regex: '('\n", "sops.encrypted_regex"},
	}
	for name, test := range tests {
		_, err := Decrypt([]byte(test.text), Keys{ring}, func([]byte) {})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: expected an error with %q, found %v", name, test.want, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the message quotes a value: %v", name, err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	ring, err := AgeKeys([]byte(id.String()))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{plain, "sops: {}", "a: &a [*a]\nsops: {age: [{enc: x}]}", "sops: {mac: 'ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]'}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = Decrypt(text, Keys{ring}, func([]byte) {}) })
}
