package sopsfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"strake.dev/strake/internal/peers"
)

const secret = `apiVersion: v1
data:
  empty: ""
  password: b3Blbi1zZXNhbWU=
  token: |
    two
    lines
kind: Secret
metadata:
  generation: 3
  labels:
    data-like: "yes"
  name: db
stringData:
  user: admin
`

// TestEncrypt checks that what Encrypt makes is read by Decrypt and by sops' command, for each recipient,
// and that only the values of data are encrypted.
func TestEncrypt(t *testing.T) {
	var recipients []age.Recipient
	var private []string
	for range 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		recipients, private = append(recipients, id.Recipient()), append(private, id.String())
	}
	sealed, err := Encrypt([]byte(secret), "^(data|stringData)$", recipients, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"b3Blbi1zZXNhbWU", "two", "admin"} {
		if strings.Contains(string(sealed), text) {
			t.Errorf("%q isn't encrypted", text)
		}
	}
	if !strings.Contains(string(sealed), "data-like: \"yes\"") {
		t.Errorf("more is encrypted than should be:\n%s", sealed)
	}
	var want any
	if err := yaml.Unmarshal([]byte(secret), &want); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range private {
		ring, err := AgeKeys([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		ours, err := Decrypt(sealed, Keys{ring}, func([]byte) {})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := peers.Run(t, t.TempDir(), "", []string{"SOPS_AGE_KEY=" + key, "HOME=" + t.TempDir()}, peers.Tool(t, "sops"), "decrypt", path)
		if err != nil {
			t.Fatal(err)
		}
		for tool, text := range map[string]string{"ours": string(ours), "sops": theirs} {
			var got any
			if err := yaml.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", tool, diff)
			}
		}
	}
	ring, err := AgeKeys([]byte(private[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decrypt([]byte(strings.Replace(string(sealed), "name: db", "name: dc", 1)), Keys{ring}, func([]byte) {}); err == nil {
		t.Error("a changed name wasn't noticed")
	}
	for name, text := range map[string]string{"two documents": secret + "---\n" + secret + "---\n[", "number": "data: {a: 1}\n"} {
		if _, err := Encrypt([]byte(text), "^data$", recipients, time.Now()); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
}
