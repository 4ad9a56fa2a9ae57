package git

import (
	"strings"
	"testing"
	"time"
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

// FuzzModules reads whatever a .gitmodules may say: no name leads out of its folder, no address is a program, an
// option, or a repository of this machine.
func FuzzModules(f *testing.F) {
	f.Add("submodule.a.path\na\x00submodule.a.url\n../b\x00", "https://h/x/y")
	f.Add("submodule.../x.path\na\x00submodule.b.c.url\next::sh\x00submodule.b.c.path\nx", "git@h:x/y")
	f.Add("submodule.a.url\n./../../../../../b\x00submodule.a.update\n!x", "/a/b")
	f.Fuzz(func(t *testing.T, out, parent string) {
		modules, err := parseModules(out)
		if err != nil || CheckURL(parent) != nil {
			return
		}
		for _, m := range modules {
			if strings.Contains("/"+m.name+"/", "/../") || strings.HasPrefix(m.name, "/") || strings.HasPrefix(m.update, "!") {
				t.Errorf("%+v was accepted", m)
			}
			address, err := m.resolve(parent)
			if err != nil {
				continue
			}
			if CheckURL(address) != nil || isLocal(address) {
				t.Errorf("%q was accepted", address)
			}
			relative := strings.HasPrefix(m.url, "./") || strings.HasPrefix(m.url, "../")
			if relative && origin(parent) != origin(address) {
				t.Errorf("%q leads from %q to %q", m.url, parent, address)
			}
		}
	})
}

// FuzzObjects reads whatever git cat-file may say, and splits objects into what is signed and the signature.
func FuzzObjects(f *testing.F) {
	sha := strings.Repeat("0123456789", 4)
	f.Add([]byte(sha+" commit 20\ntree x\ngpgsig a\n b\n\nc\nrefs/tags/x missing\n"), 2)
	f.Add([]byte(sha+" tag 46\nobject x\n\nm\n-----BEGIN SSH SIGNATURE-----\nx\n-\n"), 1)
	f.Fuzz(func(t *testing.T, out []byte, n int) {
		objects, err := parseObjects(out, max(0, min(n, 10)))
		if err != nil {
			return
		}
		for _, o := range objects {
			payload, signature, err := o.signed()
			if err == nil && len(payload)+len(signature) > len(o.data) {
				t.Errorf("%q became %q and %q", o.data, payload, signature)
			}
			_, _ = parseTag(o, sha)
			_ = o.signedAt()
		}
	})
}

// FuzzKeys reads whatever a secret may hold, and signatures.
func FuzzKeys(f *testing.F) {
	f.Add("me@x namespaces=\"git\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9AUjvZ3cRyMOz4Tr4Hv5M0cTt7cg4kAyK6T1xPZYnW", sshBegin+"\nU1NIU0lH\n-----END SSH SIGNATURE-----\n")
	f.Add(pgpBegin+"PUBLIC KEY BLOCK-----\n\nAAAA\n"+pgpEnd+"PUBLIC KEY BLOCK-----", pgpBegin+"SIGNATURE-----\n\nAAAA\n"+pgpEnd+"SIGNATURE-----")
	f.Fuzz(func(_ *testing.T, keys, signature string) {
		ring, err := parseKeys([][]byte{[]byte(keys)})
		if err == nil {
			_ = ring.names()
			_, _ = ring.verifySSH(nil, signature, time.Time{})
			_, _ = ring.verifyPGP(nil, signature)
		}
		_, _, _ = parseSSHSignature(signature)
	})
}

// FuzzTree reads whatever git ls-tree may say, and what .lfsconfig may.
func FuzzTree(f *testing.F) {
	f.Add("100644 blob " + strings.Repeat("0123456789", 4) + "\ta b\x00")
	f.Add("lfs.url\nhttps://h\x00lfs.url\nfile:///x\x00")
	f.Fuzz(func(t *testing.T, out string) {
		entries, err := parseTree(out)
		for _, e := range entries {
			if err == nil && (!IsSHA(e.sha) || e.path == "") {
				t.Errorf("%q became %+v", out, e)
			}
		}
		settings, err := parseLFSConfig(out)
		for _, s := range settings {
			if err == nil && strings.HasSuffix(s[0], "url") && isLocal(s[1]) {
				t.Errorf("%q became %q", out, s)
			}
		}
	})
}
