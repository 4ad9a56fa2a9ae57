package buildkit

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/buildkit/buildkittest"
)

// A variant is one state of a source.
type variant struct {
	// files are the source's; a content that begins with “-> ” is a link, and “x: ” an executable file.
	files  map[string]string
	source Source
	pins   Pins
}

func (v variant) load(t *testing.T) (*Build, Parts) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range v.files {
		p := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			must(t, os.Symlink(to, p))
			continue
		}
		mode := os.FileMode(0o644)
		if rest, ok := strings.CutPrefix(text, "x: "); ok {
			text, mode = rest, 0o755
		}
		must(t, os.WriteFile(p, []byte(text), mode))
	}
	v.source.Root = buildkittest.Root(t, dir)
	if v.source.Context == "" {
		v.source.Context = "src"
	}
	b, err := Load(t.Context(), v.source, "")
	must(t, err)
	parts := b.Parts()
	parts[PartBases] = v.pins.Digest()
	return b, parts
}

func with(files map[string]string, more ...string) map[string]string {
	all := maps.Clone(files)
	for i := 0; i < len(more); i += 2 {
		if all[more[i]] = more[i+1]; more[i+1] == "gone" {
			delete(all, more[i])
		}
	}
	return all
}

func TestExplain(t *testing.T) {
	base := map[string]string{
		"src/Dockerfile": "FROM golang:1.26\n\nRUN one\nRUN two\n", "src/main.go": "1", "src/lib/a.go": "2", "src/run.sh": "#!/bin/sh\n", "src/link": "-> lib",
		"src/.dockerignore": "*.md\n", "src/x.md": "", "other/f": "1", "more/sub/g": "1",
	}
	options := func(o Options) Source { return Source{Options: o} }
	args := func(kv ...string) Source {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return options(Options{Args: m})
	}
	digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	pins := func(d string) Pins { return Pins{{Kind: PinImage, Ref: "golang:1.26", Digest: digest(d)}} }
	folder := func(dir string) Source {
		return options(Options{Contexts: map[string]Context{"other": {Folder: dir}}})
	}
	many := []string{}
	for i := range 20 {
		many = append(many, fmt.Sprintf("src/%02d", i), "new")
	}
	for name, c := range map[string]struct {
		was, now variant
		want     []string
	}{
		"nothing":     {variant{files: base}, variant{files: base}, nil},
		"changed":     {variant{files: base}, variant{files: with(base, "src/main.go", "x")}, []string{"src/main.go changed"}},
		"new":         {variant{files: base}, variant{files: with(base, "src/lib/new.go", "")}, []string{"src/lib/new.go is new"}},
		"gone":        {variant{files: base}, variant{files: with(base, "src/main.go", "gone")}, []string{"src/main.go is gone"}},
		"new folder":  {variant{files: base}, variant{files: with(base, "src/new/a", "", "src/new/b/c", "", "src/newer", "")}, []string{"src/new is new", "src/newer is new"}},
		"gone folder": {variant{files: base}, variant{files: with(base, "src/lib/a.go", "gone")}, []string{"src/lib is gone"}},
		"executable":  {variant{files: base}, variant{files: with(base, "src/run.sh", "x: #!/bin/sh\n")}, []string{"src/run.sh became executable"}},
		"not executable": {
			variant{files: with(base, "src/run.sh", "x: #!/bin/sh\n")}, variant{files: base}, []string{"src/run.sh is no longer executable"},
		},
		"link":       {variant{files: base}, variant{files: with(base, "src/link", "-> main.go")}, []string{"src/link points to main.go instead of lib"}},
		"kind":       {variant{files: base}, variant{files: with(base, "src/link", "a file")}, []string{"src/link became a file"}},
		"ignore":     {variant{files: base}, variant{files: with(base, "src/.dockerignore", "")}, []string{"src/.dockerignore changed", "src/x.md is new"}},
		"own ignore": {variant{files: base}, variant{files: with(base, "src/Dockerfile.dockerignore", "lib\n*.md\n")}, []string{"src/Dockerfile.dockerignore is new", "src/lib is gone"}},
		"Dockerfile": {variant{files: base}, variant{files: with(base, "src/Dockerfile", "FROM golang:1.26\n\nRUN one\nRUN three\n")}, []string{"src/Dockerfile changed at line 4"}},
		"Dockerfile longer": {
			variant{files: base},
			variant{files: with(base, "src/Dockerfile", "FROM golang:1.26\n\nRUN a\nRUN b\nRUN one\nRUN two\n", "src/main.go", "x")},
			[]string{"src/Dockerfile changed at lines 3-4", "src/main.go changed"},
		},
		"Dockerfile shorter": {variant{files: base}, variant{files: with(base, "src/Dockerfile", "FROM golang:1.26\nRUN two\n")}, []string{"src/Dockerfile changed at line 2"}},
		"argument":           {variant{files: base, source: args("A", "1", "B", "1")}, variant{files: base, source: args("A", "2", "C", "1")}, []string{"build argument A changed", "build argument C is new", "build argument B is gone"}},
		"label": {
			variant{files: base}, variant{files: base, source: options(Options{Labels: map[string]string{"l": "1"}})}, []string{"label l is new"},
		},
		"epoch": {
			variant{files: base, source: args(epochArg, "1")},
			variant{files: base, source: args(epochArg, "2")},
			[]string{"build argument SOURCE_DATE_EPOCH changed", "SOURCE_DATE_EPOCH changed"},
		},
		"target":       {variant{files: base, source: options(Options{Target: "a"})}, variant{files: base, source: options(Options{Target: "b"})}, []string{"target changed from a to b"}},
		"first target": {variant{files: base}, variant{files: base, source: options(Options{Target: "b"})}, []string{"target changed to b"}},
		"no target":    {variant{files: base, source: options(Options{Target: "a"})}, variant{files: base}, []string{"target a is no longer set"}},
		"platforms": {
			variant{files: base, source: options(Options{Platforms: []string{"linux/amd64"}})},
			variant{files: base, source: options(Options{Platforms: []string{"linux/amd64", "linux/arm64"}})},
			[]string{"platforms changed from linux/amd64 to linux/amd64, linux/arm64"},
		},
		"base":     {variant{files: base, pins: pins("1")}, variant{files: base, pins: pins("2")}, []string{"base image golang:1.26 moved from sha256:111111111111… to sha256:222222222222…"}},
		"new base": {variant{files: base}, variant{files: base, pins: pins("2")}, []string{"base image golang:1.26 is new"}},
		"options": {
			variant{files: base, source: options(Options{Network: "none"})},
			variant{files: base, source: options(Options{Network: "host", Hosts: []string{"a=10.0.0.1"}, Secrets: map[string]Secret{"token": nil}})},
			[]string{"secret token is new", "entitlement network.host is new", "host a=10.0.0.1 is new", "network changed"},
		},
		"first context":   {variant{files: base}, variant{files: base, source: folder("other")}, []string{"named context other is new"}},
		"file of context": {variant{files: base, source: folder("other")}, variant{files: with(base, "other/f", "2"), source: folder("other")}, []string{"named context other: f changed"}},
		"several":         {variant{files: base}, variant{files: with(base, many...), source: args("A", "1")}, []string{"build argument A is new", "src/00 is new", "src/01 is new", "src/02 is new", "src/03 is new", "and 16 more"}},
	} {
		t.Run(name, func(t *testing.T) {
			old, oldParts := c.was.load(t)
			now, nowParts := c.now.load(t)
			cache := t.TempDir()
			must(t, old.Keep(cache, "key", oldParts, c.was.pins))
			for what, record := range map[string]*Record{"kept": Recall(cache, "key", oldParts, c.was.pins), "made": old.Record(oldParts, c.was.pins)} {
				if diff := cmp.Diff(c.want, Explain(record, now.Record(nowParts, c.now.pins), FewReasons)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

// Without a record, or with one of another build, parts are all that is known.
func TestExplainWithoutRecord(t *testing.T) {
	files := map[string]string{"src/Dockerfile": "FROM a\n", "src/a": "1"}
	options := Options{Args: map[string]string{"A": "1"}, Target: "x", Hosts: []string{"a=1"}, Contexts: map[string]Context{"c": {Folder: "src"}}}
	_, oldParts := variant{files: files, source: Source{Options: options}, pins: Pins{{Kind: PinImage, Ref: "a", Digest: "sha256:1"}}}.load(t)
	now, nowParts := variant{files: with(files, "src/a", "2", "src/Dockerfile", "FROM b\n")}.load(t)
	want := []string{
		"Dockerfile src/Dockerfile changed", "build arguments changed", "target changed", "base images changed", "named contexts changed", "and 2 more",
	}
	cache := t.TempDir()
	if diff := cmp.Diff(want, Explain(Recall(cache, "key", oldParts, nil), now.Record(nowParts, nil), FewReasons)); diff != "" {
		t.Errorf("no record (-want +got):\n%s", diff)
	}
	must(t, now.Keep(cache, "key", nowParts, nil))
	if diff := cmp.Diff(want, Explain(Recall(cache, "key", oldParts, nil), now.Record(nowParts, nil), FewReasons)); diff != "" {
		t.Errorf("another build's record (-want +got):\n%s", diff)
	}
	// Of what is the same in both, the record counts.
	other, otherParts := variant{files: with(files, "src/Dockerfile", "FROM a\n"), source: Source{Options: Options{Target: "y"}}}.load(t)
	must(t, other.Keep(cache, "key", otherParts, nil))
	mixed := maps.Clone(otherParts)
	mixed[PartTarget] = oldParts[PartTarget]
	got := Explain(Recall(cache, "key", mixed, nil), now.Record(nowParts, nil), FewReasons)
	if diff := cmp.Diff([]string{"src/Dockerfile changed at line 1", "target changed", "src/a changed"}, got); diff != "" {
		t.Errorf("half (-want +got):\n%s", diff)
	}
}

func TestRecordIsWrittenOnlyForAnotherBuild(t *testing.T) {
	files := map[string]string{"src/Dockerfile": "FROM a\n", "src/a": "1"}
	build, parts := variant{files: files}.load(t)
	must(t, build.Keep("", "key", parts, nil))
	cache := t.TempDir()
	must(t, build.Keep(cache, "key", parts, nil))
	first, err := os.Stat(recordFile(cache, "key"))
	must(t, err)
	must(t, build.Keep(cache, "key", parts, nil))
	if second, err := os.Stat(recordFile(cache, "key")); err != nil || !os.SameFile(first, second) {
		t.Errorf("written again: %v", err)
	}
	other, otherParts := variant{files: with(files, "src/a", "2")}.load(t)
	must(t, other.Keep(cache, "key", otherParts, nil))
	if second, err := os.Stat(recordFile(cache, "key")); err != nil || os.SameFile(first, second) {
		t.Errorf("not written: %v", err)
	}
	must(t, os.WriteFile(recordFile(cache, "key"), []byte(recordHeader+"x"), 0o600))
	must(t, other.Keep(cache, "key", otherParts, nil))
	if r := Recall(cache, "key", otherParts, nil); r.details[PartContext] == nil {
		t.Error("a damaged record is not replaced")
	}
}

func TestRecordHoldsNoValue(t *testing.T) {
	const value = "VALUE-nobody-may-see"
	secret := func(context.Context) ([]byte, error) { return []byte(value), nil }
	values := map[string]string{"name-of-it": value}
	build, parts := variant{
		files: map[string]string{"src/Dockerfile": "FROM a\nARG A=" + value + "\n", "src/" + "a": value, "src/.dockerignore": value},
		source: Source{Options: Options{
			Args: values, Labels: values, Annotations: values, Secrets: map[string]Secret{"name-of-secret": secret},
			Contexts:  map[string]Context{"c": {URL: "https://user:" + value + "@example.com/a.git"}},
			CacheFrom: []Cache{{Type: "s3", Attrs: values}},
		}},
	}.load(t)
	data := string(build.Record(parts, nil).encode())
	if strings.Contains(data, value) {
		t.Errorf("the record holds it:\n%s", data)
	}
	if !strings.Contains(data, "name-of-it") || !strings.Contains(data, "name-of-secret") {
		t.Errorf("names are missing:\n%s", data)
	}
}

func FuzzRecord(f *testing.F) {
	r := &Record{Parts: Parts{"a": "1"}, details: map[string][]detail{"context": {{"a b", "f 644 12"}, {"\n\xff", "d"}}, "args": nil}}
	f.Add(r.encode())
	f.Add([]byte(recordHeader + "\n\"l\"\n \"a\" \"b\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord(data)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		for list, details := range r.details {
			if list != PartBases && !slices.Equal(again.details[list], details) {
				t.Errorf("%q: %v became %v", list, details, again.details[list])
			}
		}
	})
}
