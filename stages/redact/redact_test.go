package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const secret = "Sentinel+/7&\"quoted\" ümlaut-0123456789"

// Whatever a program makes of a secret, nothing of it is left.
func TestForms(t *testing.T) {
	var s Set
	s.Add([]byte(secret))
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "json": string(quoted), "go": fmt.Sprintf("%q", secret),
		"base64 in base64url": base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	for _, before := range []string{"", "a", "ab", "abc", "user:"} {
		for _, after := range []string{"", "x", "xy", "xyz\n"} {
			texts["base64 of "+before+"…"+after] = base64.StdEncoding.EncodeToString([]byte(before + secret + after))
			texts["base64url of "+before+"…"+after] = base64.URLEncoding.EncodeToString([]byte(before + secret + after))
		}
	}
	for name, text := range texts {
		got := s.Clean("before " + text + " after")
		rest := strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after")
		// Of base64, a few characters hold bits of what is around the secret too.
		if !strings.Contains(got, Instead) || len(strings.ReplaceAll(rest, Instead, "")) > 16 {
			t.Errorf("%s: %s became %s", name, text, got)
		}
	}
}

func TestLongSecrets(t *testing.T) {
	key := "-----BEGIN KEY-----\n" + strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz+/ABCDEFGHIJKLMNOPQRSTUVWXYZ\n", 5) + "-----END KEY-----\n"
	var s Set
	s.Add([]byte(key))
	for line := range strings.Lines(key) {
		if got := s.Clean("> " + line); got != "> ***\n" {
			t.Errorf("line of a key: %q", got)
		}
	}
	all := base64.StdEncoding.EncodeToString([]byte(key))
	for _, width := range []int{64, 76} {
		for chunk := range slices.Chunk([]byte(all), width) {
			if got := s.Clean(string(chunk)); len(chunk) >= minLine && got != Instead {
				t.Errorf("base64 broken at %d: %s", width, got)
			}
		}
	}
	var values Set
	values.Add([]byte("db: {pass: correct-horse, user: me}\nlist: [battery-staple]\n"))
	if got := values.Clean("correct-horse me " + base64.StdEncoding.EncodeToString([]byte("battery-staple"))); got != "*** me ***" {
		t.Errorf("leaves of YAML: %s", got)
	}
}

func TestURLs(t *testing.T) {
	var s Set
	for text, want := range map[string]string{
		"https://user:pass@example.com/x: 404":       "https://***@example.com/x: 404",
		"git clone https://token@example.com":        "git clone https://***@example.com",
		"ssh://git@example.com/x":                    "ssh://git@example.com/x",
		"ssh://git:pass@example.com/x":               "ssh://***@example.com/x",
		"oci://user:p%40ss@r.io/a@sha256:1":          "oci://***@r.io/a@sha256:1",
		"https://example.com/a@b":                    "https://example.com/a@b",
		`{"url":"https://example.com","to":"a@b.c"}`: `{"url":"https://example.com","to":"a@b.c"}`,
		"docker-image://r.io/app@sha256:1":           "docker-image://r.io/app@sha256:1",
	} {
		if got := s.Clean(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	const secret = "0123456789abcdefghijklmnopqrstuv"
	var s Set
	s.Add([]byte(secret))
	for text, want := range map[string]string{
		"app [2/3] | token=0123456789ab":               "app [2/3] | token=***",
		"app [2/3] | cdefghijklmnopqrst":               "app [2/3] | ***",
		"mnopqrstuv and more":                          "*** and more",
		"mnopqrstuv and 0123456789":                    "*** and ***",
		"mnopqrstuvmnopqrstuv":                         "******",
		"01234567 in the middle":                       "01234567 in the middle",
		"ends with 0123":                               "ends with 0123",
		"first " + secret + "\n  cdefghijklmnop\nlast": "first ***\n  ***\nlast",
	} {
		if got := s.CleanLog(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
	if got := s.CleanMessage("first 0123456789ab\nlast lines:\n  0123456789ab"); got != "first 0123456789ab\nlast lines:\n  ***" {
		t.Errorf("message: %s", got)
	}
	for cut := minPiece; cut <= len(secret)-minPiece; cut++ {
		if got := s.CleanLog("x" + secret[:cut] + "\n" + secret[cut:] + "y"); got != "x***\n***y" {
			t.Errorf("cut at %d: %s", cut, got)
		}
	}
}

func TestShortAndTwice(t *testing.T) {
	var s Set
	var added []string
	for _, value := range []string{"abc", " \n", "hunter2", "hunter2\n", "hunter2-and-more"} {
		if s.Add([]byte(value)) {
			added = append(added, value)
		}
	}
	if got := s.Clean("abc hunter2-and-more hunter2"); got != "abc *** ***" {
		t.Error(got)
	}
	if got := strings.Join(added, ","); got != "hunter2,hunter2-and-more" {
		t.Errorf("added: %s", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("secret value", "a text with secret value and https://u:p@host", 3)
	f.Fuzz(func(t *testing.T, value, text string, cut int) {
		var s Set
		s.Add([]byte(value))
		value = strings.TrimSpace(value)
		got := s.CleanLog(text + value + text)
		if len(value) >= 16 && !strings.Contains(Instead, value) && strings.Contains(strings.ReplaceAll(got, Instead, ""), value) {
			t.Errorf("%q is left in %q", value, got)
		}
		if cut > 0 && cut < len(value) {
			_ = s.CleanLog(value[:cut] + "\n" + value[cut:])
		}
	})
}
