package git_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
)

// treeOf makes a tree of entries “MODE TYPE SHA<tab>NAME” that git itself wouldn't make.
func treeOf(t *testing.T, r *gittest.Repo, entries ...string) string {
	t.Helper()
	var raw strings.Builder
	for _, e := range entries {
		attributes, name, _ := strings.Cut(e, "\t")
		fields := strings.Fields(attributes)
		raw.WriteString(strings.TrimLeft(fields[0], "0") + " " + name + "\x00")
		for i := 0; i < len(fields[1]); i += 2 {
			var b byte
			if _, err := fmt.Sscanf(fields[1][i:i+2], "%02x", &b); err != nil {
				t.Fatal(err)
			}
			raw.WriteByte(b)
		}
	}
	return r.Object("tree", raw.String())
}

// commitTree makes a tree the newest commit of main.
func commitTree(t *testing.T, r *gittest.Repo, tree string) {
	t.Helper()
	r.Ref("refs/heads/main", r.Object("commit", "tree "+tree+"\nauthor "+by+"committer "+by+"\nhostile\n"))
}

// A hostile repository is refused or does no harm: no program that it names runs, no file appears outside of
// the checkout, nothing of git's own inside, and no other repository of this machine is read.
func TestHostileRepositories(t *testing.T) {
	outside := t.TempDir()
	ran := filepath.Join(outside, "ran")
	script := "#!/bin/sh\ntouch " + ran + "\n"
	private := gittest.New(t, t.TempDir(), "private")
	private.Write("secret.txt", "s", 0o644)
	secret := private.Commit("private")
	blob := func(r *gittest.Repo, text string) string { return r.Object("blob", text) }
	file := func(name string) func(*gittest.Repo) {
		return func(r *gittest.Repo) { commitTree(t, r, treeOf(t, r, "100755 "+blob(r, script)+"\t"+name)) }
	}
	inFolder := func(name string) func(*gittest.Repo) {
		return func(r *gittest.Repo) {
			hooks := treeOf(t, r, "100755 "+blob(r, script)+"\tpost-checkout")
			folder := treeOf(t, r, "100644 "+blob(r, "[core]\nfsmonitor=touch "+ran+"\nsshCommand=touch "+ran+"\n")+"\tconfig", "040000 "+hooks+"\thooks")
			commitTree(t, r, treeOf(t, r, "040000 "+folder+"\t"+name))
		}
	}
	modules := func(text string) func(*gittest.Repo) {
		return func(r *gittest.Repo) {
			commitTree(t, r, treeOf(t, r, "100644 "+blob(r, text)+"\t.gitmodules", "160000 "+secret+"\tsub"))
		}
	}
	module := func(url string) func(*gittest.Repo) {
		return modules("[submodule \"sub\"]\n\tpath = sub\n\turl = \"" + url + "\"\n")
	}
	harmless := map[string]bool{}
	repos := map[string]func(*gittest.Repo){
		"file .git":                    file(".git"),
		"file .GIT":                    file(".GIT"),
		"file git~1":                   file("git~1"),
		"file .git with a space":       file(".git "),
		"file .git with a dot":         file(".git."),
		"file .git stream":             file(".git::$INDEX_ALLOCATION"),
		"file .git in HFS":             file(".g\u200cit"),
		"file .git behind a backslash": file(".git\\hooks\\post-checkout"),
		"file ..":                      file(".."),
		"file .":                       file("."),
		"file with slashes":            file("../../outside"),
		"file with a backslash":        file("..\\..\\outside"),
		"file absolute":                file(outside + "/absolute"),
		"folder .git":                  inFolder(".git"),
		"folder .Git":                  inFolder(".Git"),
		"folder ..":                    inFolder(".."),
		"folder with the name of -":    inFolder("--upload-pack=touch " + ran),
		"bare repository inside":       inFolder("HEAD.d"),
		"empty name":                   file(""),
		"link, then a file behind it": func(r *gittest.Repo) {
			commitTree(t, r, treeOf(t, r, "120000 "+blob(r, outside)+"\tx", "040000 "+treeOf(t, r, "100644 "+blob(r, "pwned")+"\tfile")+"\tx"))
		},
		"link behind .git": func(r *gittest.Repo) { commitTree(t, r, treeOf(t, r, "120000 "+blob(r, outside)+"\t.git")) },
		"link .gitmodules": func(r *gittest.Repo) {
			commitTree(t, r, treeOf(t, r, "120000 "+blob(r, private.Dir+"/.git/config")+"\t.gitmodules", "160000 "+secret+"\tsub"))
		},
		"link .gitattributes": func(r *gittest.Repo) {
			commitTree(t, r, treeOf(t, r, "120000 "+blob(r, "/etc/passwd")+"\t.gitattributes", "100644 "+blob(r, "x")+"\tf"))
		},
		"filter": func(r *gittest.Repo) {
			r.Write(".gitattributes", "* filter=evil diff=evil merge=evil\n", 0o644)
			r.Write("f", "x", 0o644)
			r.Commit("c")
		},
		"filter of the user's": func(r *gittest.Repo) {
			r.Write(".gitattributes", "* filter=users\n", 0o644)
			r.Write("f", "x", 0o644)
			r.Commit("c")
		},
		"hooks of the remote": func(r *gittest.Repo) {
			r.Write("f", "x", 0o644)
			r.Commit("c")
			r.Write(".git/hooks/post-checkout", script, 0o755)
			r.Write(".git/hooks/post-upload-pack", script, 0o755)
		},
		"submodule by path":             module(private.Dir),
		"submodule by file URL":         module("file://" + private.Dir),
		"submodule by FILE URL":         module("FILE://" + private.Dir),
		"submodule by relative path":    module("../../../../../../../../../.." + private.Dir),
		"submodule by program":          module("ext::sh -c touch% " + ran),
		"submodule by fd":               module("fd::17"),
		"submodule by option":           module("--upload-pack=touch " + ran),
		"submodule by ssh option":       module("ssh://-oProxyCommand=touch " + ran + "/x"),
		"submodule by scp option":       module("-oProxyCommand=touch " + ran + ":x"),
		"submodule with a line end":     module("https://127.0.0.1:1/x\\n-oProxyCommand=touch"),
		"submodule without a url":       modules("[submodule \"sub\"]\n\tpath = sub\n"),
		"submodule that isn't named":    modules("[submodule \"other\"]\n\tpath = other\n\turl = https://127.0.0.1:1/x\n"),
		"submodule with a command":      modules("[submodule \"sub\"]\n\tpath = sub\n\turl = https://127.0.0.1:1/x\n\tupdate = !touch " + ran + "\n"),
		"submodule's name leads out":    modules("[submodule \"../../x\"]\n\tpath = sub\n\turl = https://127.0.0.1:1/x\n"),
		"submodule's name, backslashes": modules("[submodule \"..\\\\..\\\\x\"]\n\tpath = sub\n\turl = https://127.0.0.1:1/x\n"),
		"gitmodules with an include":    modules("[include]\n\tpath = " + private.Dir + "/.git/config\n[submodule \"sub\"]\n\tpath = sub\n\turl = " + private.Dir + "\n"),
		"gitmodules that isn't one":     modules("[[[\x00"),
		"two submodules at one path":    modules("[submodule \"a\"]\n\tpath = sub\n\turl = https://127.0.0.1:1/x\n[submodule \"b\"]\n\tpath = sub\n\turl = https://127.0.0.1:1/x\n"),
		"submodule is .git": func(r *gittest.Repo) {
			commitTree(t, r, treeOf(t, r, "100644 "+blob(r, "[submodule \"s\"]\n\tpath = .git\n\turl = https://127.0.0.1:1/x\n")+"\t.gitmodules", "160000 "+secret+"\t.git"))
		},
		"submodule behind a link": func(r *gittest.Repo) {
			commitTree(t, r, treeOf(t, r, "100644 "+blob(r, "[submodule \"s\"]\n\tpath = x/y\n\turl = https://127.0.0.1:1/x\n")+"\t.gitmodules", "120000 "+blob(r, outside)+"\tx", "040000 "+treeOf(t, r, "160000 "+secret+"\ty")+"\tx"))
		},
	}
	for _, name := range []string{"file with a backslash", "bare repository inside", "folder with the name of -", "link .gitattributes", "filter", "filter of the user's", "hooks of the remote"} {
		harmless[name] = true
	}
	home := t.TempDir()
	config := "[filter \"users\"]\nsmudge = touch " + ran + "; cat\nprocess = touch " + ran + "\nclean = cat\nrequired = true\n[alias]\nread-tree = !touch " + ran + "\nfetch = !touch " + ran + "\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	server := httptest.NewServer(gittest.Handler(t, root))
	defer server.Close()
	made := map[string]*gittest.Repo{}
	for i, name := range slices.Sorted(maps.Keys(repos)) {
		make := repos[name]
		made[name] = gittest.New(t, root, fmt.Sprint("r", i))
		make(made[name])
	}
	t.Setenv("HOME", home)
	store := cache.Open(t.TempDir(), 0)
	for name, repo := range made {
		t.Run(name, func(t *testing.T) {
			// Every other one as a repository of this machine, whose .git is kept.
			number, address := 0, repo.Dir
			if _, err := fmt.Sscanf(filepath.Base(repo.Dir), "r%d", &number); err != nil {
				t.Fatal(err)
			}
			keep := number%2 == 1
			if !keep {
				address = server.URL + "/" + filepath.Base(repo.Dir) + "/.git"
			}
			parent := t.TempDir()
			dir := filepath.Join(parent, "a", "b", "c")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			r := open(t, address, git.Auth{})
			r.Cache = store
			refs, err := r.Refs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, _ := refs.Resolve("main")
			_, err = r.Checkout(t.Context(), dir, c, git.Options{KeepGit: keep})
			// Of two entries with one name, git takes the last; others may refuse both.
			if twice := name == "link, then a file behind it"; harmless[name] != (err == nil) && !twice {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "127.0.0.1:1/") && strings.Contains(err.Error(), "onnect") && name != "submodule behind a link" {
				t.Errorf("it got as far as asking the submodule's server: %v", err)
			}
			harmed(t, parent, dir, outside, keep)
		})
	}
}

// harmed tells what a checkout has done that it must not do.
func harmed(t *testing.T, parent, dir, outside string, keep bool) {
	t.Helper()
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Fatalf("outside there are now %v, %v", entries, err)
	}
	err := filepath.WalkDir(parent, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !e.IsDir() && !filepath.IsLocal(rel) {
			t.Errorf("%s is outside of the checkout", rel)
		}
		if strings.EqualFold(e.Name(), ".git") && (!keep || rel != ".git") {
			t.Errorf("%s is git's own", rel)
		}
		if rel == ".git" {
			return fs.SkipDir
		}
		if e.Name() == "secret.txt" {
			t.Error("another repository was read")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What strake is told by the App's author is no option of git, either.
func TestHostileReferences(t *testing.T) {
	m := newRemote(t)
	ran := filepath.Join(t.TempDir(), "ran")
	r := open(t, m.url, git.Auth{})
	for _, c := range []git.Commit{
		{SHA: "--upload-pack=touch " + ran},
		{SHA: m.first, Ref: "--upload-pack=touch " + ran},
		{SHA: m.first, Tags: []string{"--upload-pack=touch " + ran, "a:refs/heads/x", "*", "../x"}},
		{Expression: "--exec=touch " + ran},
		{Expression: "-h"},
		{Expression: ":/x"},
		{SHA: strings.Repeat("a", 40), Ref: "a:b:c"},
	} {
		_, err := r.Checkout(t.Context(), t.TempDir(), c, git.Options{})
		t.Logf("%+v: %v", c, err)
		if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%+v ran something", c)
		}
	}
}

// Another host sees no credentials: not as a submodule, and not as one that is redirected to.
func TestCredentialsStayAtHome(t *testing.T) {
	root := t.TempDir()
	var leaked []string
	inner := gittest.Handler(t, root)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := r.Header.Get("Authorization"); h != "" {
			leaked = append(leaked, h)
		}
		inner.ServeHTTP(w, r)
	}))
	defer other.Close()
	home := secureRemote(t, root, nil)
	mod := gittest.New(t, root, "mod")
	mod.Write("m", "1", 0o644)
	mod.Commit("m")
	repo := gittest.New(t, root, "repo")
	repo.Git("submodule", "add", "--quiet", other.URL+"/mod/.git", "other")
	repo.Git("submodule", "add", "--quiet", "--name", "own", other.URL+"/mod/.git", "own")
	repo.Git("config", "-f", ".gitmodules", "submodule.own.url", "../../mod/.git")
	repo.Commit("c")
	for _, force := range []bool{false, true} {
		r := open(t, home.URL+"/repo/.git", git.Auth{Username: "me", Password: "p%ss w/rd", ForceBasic: force})
		r.Cache = cache.Open(t.TempDir(), 0)
		refs, err := r.Refs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, _ := refs.Resolve("main")
		dir := t.TempDir()
		if _, err := r.Checkout(t.Context(), dir, c, git.Options{KeepGit: true}); err != nil {
			t.Fatal(err)
		}
		if files := tree(t, dir); files["other/m"] != "1" || files["own/m"] != "1" {
			t.Errorf("got %v", files)
		}
		_ = filepath.WalkDir(r.Cache.Path(), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if text, err := os.ReadFile(path); err == nil && (strings.Contains(string(text), "p%ss") || strings.Contains(string(text), "p%25ss")) {
					t.Errorf("%s has the password", path)
				}
			}
			return nil
		})
	}
	if len(leaked) > 0 {
		t.Errorf("another server got %q", leaked)
	}
}

// What lies in the cache is for those only whom the remote has let in.
func TestCacheAsksWhoYouAre(t *testing.T) {
	root := t.TempDir()
	server := secureRemote(t, root, nil)
	repo := gittest.New(t, root, "repo")
	repo.Write("a", "1", 0o644)
	sha := repo.Commit("c")
	store := cache.Open(t.TempDir(), 0)
	get := func(user, password string) error {
		r := open(t, server.URL+"/repo/.git", git.Auth{Username: user, Password: password})
		r.Cache = store
		_, err := r.Checkout(t.Context(), t.TempDir(), git.Commit{SHA: sha}, git.Options{})
		return err
	}
	if err := get("me", "p%ss w/rd"); err != nil {
		t.Fatal(err)
	}
	if get("me", "wrong") == nil || get("", "") == nil {
		t.Error("the cache gave it to a stranger")
	}
	server.Close()
	if err := get("me", "p%ss w/rd"); err != nil {
		t.Errorf("without the server: %v", err)
	}
	if get("me", "wrong") == nil {
		t.Error("the cache gave it to a stranger")
	}
}

// A certificate that nobody vouches for is accepted if that is asked for, of the own host.
func TestSkipTLSVerify(t *testing.T) {
	root := t.TempDir()
	gittest.New(t, root, "repo").Commit("c")
	server := httptest.NewTLSServer(gittest.Handler(t, root))
	defer server.Close()
	for _, skip := range []bool{false, true} {
		_, err := open(t, server.URL+"/repo/.git", git.Auth{SkipTLSVerify: skip}).Refs(t.Context())
		if (err == nil) != skip {
			t.Errorf("skipping %v: %v", skip, err)
		}
	}
}
