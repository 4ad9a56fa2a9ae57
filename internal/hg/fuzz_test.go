package hg

import (
	"strings"
	"testing"
)

// FuzzAnswers reads whatever hg may say; a name that is found is always a full one.
func FuzzAnswers(f *testing.F) {
	sha := strings.Repeat("0123456789", 4)
	f.Add("query 1; heads\n" + sha + "\n(sent 2 HTTP requests)\n")
	f.Add(sha + "\n1700000000 0\ntitle")
	f.Fuzz(func(t *testing.T, out string) {
		if sha, err := parseIdentity(out); err == nil && !IsSHA(sha) {
			t.Errorf("%q became %q", out, sha)
		}
		if info, err := parseLog(out); err == nil && !IsSHA(info.SHA) {
			t.Errorf("%q became %+v", out, info)
		}
	})
}

// FuzzCheckURL lets no address through that hg or ssh could take for an option.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://h/a", "ssh://-x@h/a", "ssh://h/-x", "/a", "file:///a", "-x", "union:/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if CheckURL(address) == nil && (strings.HasPrefix(address, "-") || strings.ContainsAny(address, "\n\r") || strings.HasPrefix(address, "ssh://-")) {
			t.Errorf("%q was accepted", address)
		}
	})
}
