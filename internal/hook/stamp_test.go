package hook_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"carvel.dev/ytt/pkg/yamlmeta"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/hook"
)

const config = `apiVersion: kbld.k14s.io/v1alpha1
kind: Config
sources:
- image: app
  path: src
  docker: {build: {rawOptions: ["--build-arg=N=1"]}}
destinations: [{image: app, newImage: registry.example.com/apps/app}]
`

func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func withStamp(object map[string]any, text any) map[string]any {
	object = maps.Clone(object)
	object["metadata"] = map[string]any{"annotations": map[string]any{hook.Annotation: text}}
	return object
}

func TestStamp(t *testing.T) {
	key := hook.Key{1, 2, 3}
	object := parse(t, config)
	const folder = "/mem/kapp-controller-fetch-template-deploy1/0"
	stamp, err := key.Stamp(object, folder)
	if err != nil {
		t.Fatal(err)
	}
	stamped := withStamp(object, stamp)
	if got, err := key.Folder(stamped); got != folder || err != nil {
		t.Fatalf("own stamp: %q, %v", got, err)
	}
	if got, err := key.Folder(object); got != "" || err != nil {
		t.Errorf("no stamp: %q, %v", got, err)
	}
	if again, _ := key.Stamp(stamped, folder); again != stamp {
		t.Error("a stamp is part of what is stamped")
	}
	if _, err := (hook.Key{1, 2, 4}).Folder(stamped); err == nil {
		t.Error("the stamp of another key is accepted")
	}
	refused := func(what string, object map[string]any) {
		t.Helper()
		if got, err := key.Folder(object); err == nil {
			t.Errorf("%s: accepted for %q", what, got)
		} else if !strings.Contains(err.Error(), hook.Annotation) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range stamp {
		for _, bit := range []byte{1, 2, 0x20, 0x80} {
			changed := []byte(stamp)
			changed[i] ^= bit
			refused("changed byte of the stamp", withStamp(object, string(changed)))
		}
		refused("cut stamp", withStamp(object, stamp[:i]))
	}
	for name, text := range map[string]any{
		"longer": stamp + "/..", "space": stamp + " ", "line": stamp + "\n", "upper case": strings.ToUpper(stamp), "number": 1, "null": nil, "list": []any{stamp},
		"other folder": strings.Replace(stamp, "deploy1", "deploy2", 1), "parent": strings.TrimSuffix(stamp, "/0"), "relative": strings.Replace(stamp, "/mem", "mem", 1),
	} {
		refused(name, withStamp(object, text))
	}
	for _, edit := range [][2]string{
		{"path: src", "path: ../1"},
		{"N=1", "N=2"},
		{"apps/app", "apps/other"},
		{"image: app\n", "image: app2\n"},
		{"kind: Config", "kind: Config\nx: 1"},
		{"kind: Config", "kind: Config\nSources: [{image: a, path: .}]"},
		{"kind: Config", "kind: Sources"},
	} {
		refused(edit[1], withStamp(parse(t, strings.Replace(config, edit[0], edit[1], 1)), stamp))
	}
	labelled := withStamp(object, stamp)
	labelled["metadata"].(map[string]any)["name"] = "x"
	refused("name", labelled)
}

// No byte of a stamped document can be changed so that kbld reads something else and the stamp holds.
func TestMutation(t *testing.T) {
	key := hook.Key{9}
	object := parse(t, config)
	const folder = "/mem/kapp-controller-fetch-template-deploy1"
	stamp, err := key.Stamp(object, folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(withStamp(object, stamp))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := yaml.Marshal(parse(t, string(text)))
	for i := range text {
		for _, c := range []byte{'x', '0', ' ', '/', '"', text[i] ^ 1} {
			changed := append([]byte(nil), text...)
			changed[i] = c
			var object map[string]any
			if yaml.Unmarshal(changed, &object) != nil {
				continue
			}
			got, _ := yaml.Marshal(object)
			found, err := key.Folder(object)
			if string(got) != string(want) && err == nil && found != "" {
				t.Errorf("byte %d as %q: accepted", i, c)
			}
		}
	}
}

func FuzzStamp(f *testing.F) {
	key := hook.Key{7}
	object := parse(f, config)
	stamp, err := key.Stamp(object, "/mem/x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stamp)
	f.Add("v1  ")
	f.Add("v1 " + strings.Repeat("0", 64) + " /")
	f.Fuzz(func(t *testing.T, text string) {
		folder, err := key.Folder(withStamp(object, text))
		if err == nil && (text != stamp || folder != "/mem/x") {
			t.Errorf("%q is accepted for %q", text, folder)
		}
	})
}

func TestHasSources(t *testing.T) {
	for text, want := range map[string]bool{
		config: true,
		strings.Replace(config, "sources", "SOURCES", 1):                         true,
		strings.Replace(config, "kind: Config", "kind: Sources", 1):              true,
		strings.Replace(config, "kind: Config", "kind: ImageKeys", 1):            true,
		strings.Replace(config, "kind: Config", "kind: Deployment", 1):           false,
		strings.Replace(config, "v1alpha1", "v1", 1):                             false,
		"apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsources: []\n":         false,
		"apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsources: x\n":          false,
		"apiVersion: kbld.k14s.io/v1alpha1\nkind: 1\nsources: [{image: a}]\n":    false,
		"apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides: [{a: b}]\n": false,
	} {
		if got := hook.HasSources(parse(t, text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// work makes a work folder of kapp-controller.
func work(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kapp-controller-fetch-template-deploy123")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, dir, f, "x")
	}
	return dir
}

func TestAppFolder(t *testing.T) {
	one, three, named, zero := work(t, "0/config/a.yml"), work(t, "0/a", "1/b", "2/c"), work(t, "src/a"), work(t, "0")
	deep := "0/kapp-controller-fetch-template-deploy9/0/config"
	mocked := work(t, deep+"/a.yml")
	for name, c := range map[string]struct {
		paths []string
		want  string
	}{
		"one fetch":           {[]string{one + "/0/config"}, one + "/0"},
		"one fetch, whole":    {[]string{one + "/0"}, one + "/0"},
		"one fetch, path 0":   {[]string{one}, one},
		"three":               {[]string{three + "/1", three + "/2"}, three},
		"three, whole":        {[]string{three}, three},
		"path":                {[]string{named + "/src"}, named},
		"a file called 0":     {[]string{zero + "/0"}, zero},
		"inline and standard": {[]string{"-", "/tmp/kapp-controller-template-ytt-inline5", one + "/0/x"}, one + "/0"},
		"App's own name":      {[]string{mocked + "/" + deep}, mocked + "/0"},
		"unclean":             {[]string{one + "//0/./config/../"}, one + "/0"},
		"named by the App":    {[]string{one + "/0/x=" + three + "/0", one + "/0"}, one + "/0"},
		"only named":          {[]string{one + "/0/x=" + three + "/0"}, ""},
		"only inline":         {[]string{"-", "/tmp/kapp-controller-template-ytt-inline5"}, ""},
		"relative":            {[]string{"kapp-controller-fetch-template-deploy123/0"}, ""},
		"none":                {nil, ""},
		"a developer's":       {[]string{t.TempDir() + "/config"}, ""},
	} {
		if got, err := hook.AppFolder(c.paths); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, paths := range map[string][]string{
		"two Apps": {one + "/0", three + "/0"},
		"gone":     {filepath.Dir(one) + "/kapp-controller-fetch-template-deploy0/0"},
	} {
		if got, err := hook.AppFolder(paths); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestCheckPaths(t *testing.T) {
	const work, other = "/mem/kapp-controller-fetch-template-deploy1", "/mem/kapp-controller-fetch-template-deploy2"
	for _, c := range []struct {
		paths []string
		want  bool
	}{
		{[]string{work + "/0/config", "-", "/mem/kapp-controller-template-ytt-inline5", "/mem/kapp-controller-template-values7/x"}, true},
		{[]string{"-"}, true},
		{[]string{"config", "name=other", "/etc/passwd"}, true}, // a developer's
		{[]string{work + "/0/x=/strake/state/key"}, false},
		{[]string{work + "/0/x=" + work + "/0/y"}, false},
		{[]string{work + "/0", "/strake/state/key"}, false},
		{[]string{work + "/0", "/mem/other"}, false},
		{[]string{work + "/0", "/mem/kapp-controller-x/../../etc/passwd"}, false},
		{[]string{work + "/0", "relative"}, false},
		{[]string{work + "/0", other + "/0"}, false},
		{[]string{work + "/0", other + "/0/x=y"}, false},
		{[]string{work + "/0", "https://example.com/x"}, false},
	} {
		if err := hook.CheckPaths(c.paths); (err == nil) != c.want {
			t.Errorf("%v: %v", c.paths, err)
		}
	}
}

// render prints documents as ytt does, after the stamps.
func render(t *testing.T, text string, paths []string, getenv func(string) string) (string, error) {
	t.Helper()
	set, err := yamlmeta.NewDocumentSetFromBytes([]byte(text), yamlmeta.DocSetOpts{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hook.StampDocuments(set, paths, getenv); err != nil {
		return "", err
	}
	out, err := set.AsBytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(out), nil
}

func TestStampDocuments(t *testing.T) {
	app := work(t, "0/config/a.yml")
	on := env(hook.DestinationsVariable, "registry.example.com/apps", "HOME", t.TempDir())
	in := config + "metadata: {name: x, annotations: {a: b}}\n---\nkind: Deployment\n---\n" + strings.Replace(config, "sources", "keys", 1)
	paths := []string{app + "/0/config", "-"}

	out, err := render(t, in, paths, on)
	if err != nil || strings.Count(out, hook.Annotation) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	docs := strings.Split(out, "---\n")
	folder, found, err := hook.Admit([]map[string]any{parse(t, docs[0]), parse(t, docs[1])}, []string{"-"}, on)
	if err != nil || folder != app+"/0" || found[0].Err != nil {
		t.Errorf("admitted: %q, %v, %v", folder, found, err)
	}
	// A second ytt that knows no folder leaves the stamp; what it changes of the Config makes it stale.
	again, err := render(t, out, []string{"-"}, on)
	if err != nil || again != out {
		t.Errorf("again: %v\n%s", err, again)
	}
	stale := parse(t, strings.Replace(docs[0], "path: src", "path: .", 1))
	if folder, found, _ = hook.Admit([]map[string]any{stale}, []string{"-"}, on); found[0].Err == nil || found[0].Remote || folder != "" {
		t.Errorf("stale: %q, %v", folder, found)
	}
	// One that knows the folder makes a new one.
	anew, err := render(t, strings.Replace(docs[0], "path: src", "path: .", 1), paths, on)
	if err != nil || strings.Count(anew, hook.Annotation) != 1 {
		t.Fatalf("anew: %v\n%s", err, anew)
	}
	if folder, found, err = hook.Admit([]map[string]any{parse(t, anew)}, []string{"-"}, on); folder != app+"/0" || found[0].Err != nil || err != nil {
		t.Errorf("anew: %q, %v, %v", folder, found, err)
	}
	for name, off := range map[string]func(string) string{"not allowed": env("HOME", t.TempDir())} {
		if out, err := render(t, in, paths, off); err != nil || strings.Contains(out, hook.Annotation) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if out, err := render(t, in, []string{"-", "config"}, on); err != nil || strings.Contains(out, hook.Annotation) {
		t.Errorf("no folder: %v\n%s", err, out)
	}
	for _, odd := range []string{"metadata: x\n", "metadata: {annotations: [a]}\n"} {
		if out, err := render(t, config+odd, paths, on); err != nil || strings.Contains(out, hook.Annotation) {
			t.Errorf("%s: %v\n%s", odd, err, out)
		}
	}
	// The key must not be where files of Apps are.
	beside := env(hook.DestinationsVariable, "registry.example.com/apps", hook.KeyVariable, filepath.Join(filepath.Dir(app), "key"))
	if _, err := render(t, in, paths, beside); err == nil {
		t.Error("a key beside the Apps' folders is used")
	}
}

func TestAdmit(t *testing.T) {
	one, two := work(t, "0/config/a.yml"), work(t, "0/a", "1/b")
	on := env(hook.DestinationsVariable, "registry.example.com/apps", "HOME", t.TempDir())
	stamped := func(app string) map[string]any {
		out, err := render(t, config, []string{app}, on)
		if err != nil {
			t.Fatal(err)
		}
		return parse(t, out)
	}
	bare, forged := parse(t, config), withStamp(parse(t, config), "v1 "+strings.Repeat("0", 64)+" "+two)
	for name, c := range map[string]struct {
		docs   []map[string]any
		paths  []string
		folder string
		bad    []bool
	}{
		"argument":             {[]map[string]any{bare, nil}, []string{"-", two + "/1/build.yml"}, two, []bool{false, false}},
		"nothing":              {[]map[string]any{bare}, []string{"-"}, "", []bool{true}},
		"stamp":                {[]map[string]any{nil, stamped(two)}, []string{"-"}, two, []bool{false, false}},
		"stamp and bare":       {[]map[string]any{stamped(two), bare}, []string{"-"}, two, []bool{false, true}},
		"forged":               {[]map[string]any{forged}, []string{"-"}, "", []bool{true}},
		"forged, argument":     {[]map[string]any{forged}, []string{"-", two + "/1"}, two, []bool{true}},
		"stamps of two Apps":   {[]map[string]any{stamped(two), stamped(one)}, []string{"-"}, two, []bool{false, true}},
		"stamp of another App": {[]map[string]any{stamped(one)}, []string{"-", two + "/1"}, two, []bool{true}},
	} {
		folder, found, err := hook.Admit(c.docs, c.paths, on)
		if err != nil || folder != c.folder {
			t.Errorf("%s: %q, %v", name, folder, err)
			continue
		}
		for i, bad := range c.bad {
			if (found[i].Err != nil) != bad {
				t.Errorf("%s: document %d: %v", name, i, found[i].Err)
			}
		}
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "key")
	keys := make([]hook.Key, 32)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = hook.LoadKey(file); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if key != keys[0] || key == (hook.Key{}) {
			t.Fatal("processes have different keys")
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	for name, prepare := range map[string]func(string) error{
		"readable":  func(f string) error { return os.Chmod(f, 0o644) },
		"short":     func(f string) error { return os.WriteFile(f, []byte("abcd"), 0o600) },
		"no hex":    func(f string) error { return os.WriteFile(f, []byte(strings.Repeat("x", 64)), 0o600) },
		"a folder":  func(f string) error { return os.Mkdir(f, 0o700) },
		"no place":  func(f string) error { return os.WriteFile(filepath.Dir(f), nil, 0o600) },
		"dead link": func(f string) error { return os.Symlink("/no/such/file", f) },
	} {
		f := filepath.Join(t.TempDir(), "sub", "key")
		if name != "no place" {
			if _, err := hook.LoadKey(f); err != nil {
				t.Fatal(err)
			}
		}
		if name == "a folder" || name == "dead link" {
			_ = os.Remove(f)
		}
		if err := prepare(f); err != nil {
			t.Fatal(err)
		}
		if _, err := hook.LoadKey(f); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, getenv := range map[string]func(string) string{"nothing": env(), "relative": env(hook.KeyVariable, "key")} {
		if file, err := hook.KeyFile(getenv); err == nil {
			t.Errorf("%s: %s", name, file)
		}
	}
}
