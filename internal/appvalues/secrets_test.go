package appvalues

import (
	"strings"
	"testing"
)

func TestSecretsAreMasked(t *testing.T) {
	var s Secrets
	s.Add([]byte("user: admin\npin: 12\nnested: {key: [deep-secret]}\non: true\n"))
	s.Add([]byte("-----BEGIN KEY-----\nabcdef\n-----END KEY-----\n"))
	tests := map[string]string{
		"found admin here":       "found *** here",
		"x deep-secret":          "x ***",
		"  2 | pin: 12":          "  2 | ***",
		"line 12 is fine":        "line 12 is fine",
		"true stays":             "true stays",
		"  1 | on: true":         "  1 | ***",
		"v.yml:2 |   abcdef":     "v.yml:2 |   ***",
		"fail: ***":              "fail: ***",
		"user and nested remain": "user and nested remain",
	}
	for text, want := range tests {
		if got := s.Clean(text); got != want {
			t.Errorf("clean(%q) = %q, expected %q", text, got, want)
		}
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add([]byte("token: abcdef"), "x abcdef")
	f.Add([]byte("a: |\n  l1\n  long-line"), "1 | long-line")
	f.Fuzz(func(t *testing.T, secret []byte, text string) {
		var s Secrets
		s.Add(secret)
		whole := strings.TrimSpace(string(secret))
		if len(whole) < minSecret || strings.Contains(masked, whole) || strings.Contains(whole, "*") || strings.Contains(whole, "\n") {
			s.Clean(text)
			return
		}
		if whole != "true" && whole != "false" && whole != "null" && strings.Contains(s.Clean(text+whole), whole) {
			t.Fatalf("%q is still in the text", whole)
		}
	})
}
