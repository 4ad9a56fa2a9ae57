package git

import (
	"strings"
	"testing"
)

// FuzzRefs reads whatever a remote may say; what it resolves to is always the full name of a commit.
func FuzzRefs(f *testing.F) {
	sha := strings.Repeat("0123456789", 4)
	f.Add(sha+"\tHEAD\n"+sha+"\trefs/heads/main\n"+sha+"\trefs/tags/v1^{}\n", "origin/main")
	f.Add("ref: refs/heads/main\tHEAD\n", "HEAD")
	f.Add(sha+"\t-x\n", "-x")
	f.Fuzz(func(t *testing.T, out, ref string) {
		refs, err := parseRefs(out)
		if err != nil {
			return
		}
		if c, ok := refs.Resolve(ref); ok && !IsSHA(c.SHA) {
			t.Errorf("%q became %q", ref, c.SHA)
		}
		for _, tag := range refs.Tags() {
			if strings.HasPrefix(tag, tagPrefix+tagPrefix) {
				t.Errorf("tag %q", tag)
			}
		}
	})
}

// FuzzCheckURL lets no address through that git or ssh could take for an option or a program.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://h/a", "git@h:a", "ext::sh", "-x", "ssh://-x@h/a", "a::b", "h:-x", "/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		_ = Redacted(address)
		if CheckURL(address) != nil {
			return
		}
		if strings.HasPrefix(address, "-") || strings.Contains(address, "\n") || helper.MatchString(address) {
			t.Errorf("%q was accepted", address)
		}
		_, _ = moveCredentials(address, Auth{})
	})
}
