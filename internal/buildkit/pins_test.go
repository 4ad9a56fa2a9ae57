package buildkit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/sourcepolicy"
	spb "github.com/moby/buildkit/sourcepolicy/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// A library answers for references from memory.
type library struct {
	images  map[string]string
	configs map[string]ocispecs.ImageConfig
	onBuild map[string][]string
	files   map[string]string
	commits map[string]string
}

var errUnknown = errors.New("unknown")

func find(m map[string]string, key string) (string, error) {
	if v, ok := m[key]; ok {
		return v, nil
	}
	return "", errUnknown
}

func (l library) Image(_ context.Context, ref string) (string, error) { return find(l.images, ref) }
func (l library) File(_ context.Context, url string) (string, error)  { return find(l.files, url) }

func (l library) Commit(_ context.Context, url, ref string) (string, error) {
	return find(l.commits, url+" "+ref)
}

func (l library) Config(_ context.Context, ref, _ string, p ocispecs.Platform) ([]byte, error) {
	type config struct {
		ocispecs.ImageConfig
		OnBuild []string
	}
	return json.Marshal(map[string]any{
		"architecture": p.Architecture, "os": p.OS, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{sha('0')}},
		"config": config{l.configs[ref], l.onBuild[ref]},
	})
}

func sha(digit rune) string { return "sha256:" + strings.Repeat(string(digit), 64) }

var commit = strings.Repeat("c", 40)

func newLibrary() library {
	return library{
		images: map[string]string{
			"busybox:1": sha('1'), "golang:1.26": sha('2'), "tool:2": sha('3'), "trigger:latest": sha('4'), "reg.example.com/a/b:x": sha('5'),
			"docker/dockerfile:1": sha('6'), "sbom:1": sha('7'), "busybox:arm": sha('8'), "busybox:latest": sha('9'),
		},
		configs: map[string]ocispecs.ImageConfig{"golang:1.26": {Env: []string{"FROM_BASE=9"}}},
		onBuild: map[string][]string{"trigger:latest": {"COPY --from=tool:2 /a /a"}},
		files:   map[string]string{"https://example.com/v9.tgz": sha('a'), "https://example.com/ctx.tgz": sha('b')},
		commits: map[string]string{"https://example.com/r.git main": commit, "https://example.com/r.git ": commit},
	}
}

// loaded is a source of a Dockerfile.
func loaded(t testing.TB, dockerfile string, o Options) *Build {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	b, err := Load(t.Context(), Source{Root: root, Context: ".", Options: o}, "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPins(t *testing.T) {
	for name, c := range map[string]struct {
		dockerfile string
		options    Options
		want       map[string]string
	}{
		"base":          {"FROM busybox:1\n", Options{}, map[string]string{"busybox:1": sha('1')}},
		"no tag":        {"FROM busybox\n", Options{}, map[string]string{"busybox:latest": sha('9')}},
		"full name":     {"FROM docker.io/library/busybox:1\n", Options{}, map[string]string{"busybox:1": sha('1')}},
		"other host":    {"FROM reg.example.com/a/b:x\n", Options{}, map[string]string{"reg.example.com/a/b:x": sha('5')}},
		"scratch":       {"FROM scratch\nCOPY Dockerfile /\n", Options{}, nil},
		"digest":        {"FROM busybox:1@" + sha('f') + "\n", Options{}, nil},
		"argument":      {"ARG V=1\nFROM busybox:$V\n", Options{Args: map[string]string{"V": "arm"}}, map[string]string{"busybox:arm": sha('8')}},
		"target":        {"FROM busybox:1 AS a\nFROM golang:1.26\n", Options{Target: "a"}, map[string]string{"busybox:1": sha('1')}},
		"unused stage":  {"FROM golang:1.26 AS unused\nFROM busybox:1\n", Options{}, map[string]string{"busybox:1": sha('1')}},
		"copy and bind": {"FROM busybox:1\nCOPY --from=tool:2 /a /\nRUN --mount=from=golang:1.26,target=/g true\n", Options{}, map[string]string{"busybox:1": sha('1'), "tool:2": sha('3'), "golang:1.26": sha('2')}},
		"ONBUILD":       {"FROM trigger\n", Options{}, map[string]string{"trigger:latest": sha('4'), "tool:2": sha('3')}},
		"platforms":     {"FROM --platform=$BUILDPLATFORM golang:1.26 AS b\nFROM busybox:1\nCOPY --from=b /a /\n", Options{Platforms: []string{"linux/amd64", "linux/arm64"}}, map[string]string{"busybox:1": sha('1'), "golang:1.26": sha('2')}},
		"syntax":        {"# syntax=docker/dockerfile:1\nFROM busybox:1\n", Options{}, map[string]string{"docker/dockerfile:1": sha('6'), "busybox:1": sha('1')}},
		"SBOM":          {"FROM busybox:1\n", Options{SBOM: "sbom:1"}, map[string]string{"busybox:1": sha('1'), "sbom:1": sha('7')}},
		"file with the base's variable": {
			"FROM golang:1.26\nADD https://example.com/v$FROM_BASE.tgz /\n",
			Options{},
			map[string]string{"golang:1.26": sha('2'), "https://example.com/v9.tgz": sha('a')},
		},
		"file with a checksum": {"FROM scratch\nADD --checksum=" + sha('d') + " https://example.com/x.tgz /\n", Options{}, nil},
		"unknown file":         {"FROM scratch\nADD https://example.com/none /\n", Options{}, map[string]string{"https://example.com/none": ""}},
		"repository":           {"FROM scratch\nADD https://example.com/r.git#main:sub /\n", Options{}, map[string]string{"https://example.com/r.git#main:sub": commit}},
		"repository's commit":  {"FROM scratch\nADD https://example.com/r.git#" + commit + " /\n", Options{}, nil},
		"unknown base":         {"FROM nowhere:1\nCOPY --from=tool:2 /a /\n", Options{}, map[string]string{"nowhere:1": "", "tool:2": sha('3')}},
		"not a Dockerfile":     {"WHAT IS THIS\n", Options{}, nil},
		"contexts": {
			"FROM base\nCOPY --from=web /a /\nCOPY --from=code /b /\nCOPY --from=image /c /\n",
			Options{Contexts: map[string]Context{
				"base": {URL: "docker-image://busybox:1"}, "web": {URL: "https://example.com/ctx.tgz"},
				"code": {URL: "https://example.com/r.git"}, "image": {Folder: "."},
			}},
			map[string]string{"busybox:1": sha('1'), "https://example.com/ctx.tgz": sha('b'), "https://example.com/r.git": commit},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pins, err := loaded(t, c.dockerfile, c.options).Pins(t.Context(), newLibrary())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, p := range pins {
				got[p.Ref] = p.Digest
			}
			if diff := cmp.Diff(c.want, got, cmp.Transformer("", func(m map[string]string) map[string]string {
				if m == nil {
					return map[string]string{}
				}
				return m
			})); diff != "" {
				t.Errorf("pins (-want +got):\n%s", diff)
			}
			kept := PinsFrom(pins.Locked())
			if want := slices.DeleteFunc(slices.Clone(pins), func(p Pin) bool { return p.Digest == "" }); kept.Digest() != want.Digest() {
				t.Errorf("from the lock: %v, want %v", kept, want)
			}
		})
	}
}

// The policy changes what the pins name, as the daemon's own engine applies it.
func TestPolicy(t *testing.T) {
	var pins Pins
	for _, p := range []Pin{
		{Kind: PinImage, Ref: "busybox:1", Digest: sha('1')},
		{Kind: PinHTTP, Ref: "https://example.com/a", Digest: sha('2')},
		{Kind: PinGit, Ref: "https://example.com/r.git#main:sub", Digest: commit},
		{Kind: PinGit, Ref: "https://example.com/r.git", Digest: commit},
	} {
		pins.add(p)
	}
	checksum := func(attrs map[string]string) string { return attrs["http.checksum"] }
	for from, want := range map[string]string{
		"docker-image://docker.io/library/busybox:1":         "docker-image://docker.io/library/busybox:1@" + sha('1'),
		"docker-image://docker.io/library/other@" + sha('3'): "docker-image://docker.io/library/other@" + sha('3'),
		"docker-image://docker.io/library/other:1":           "",
		"https://example.com/a":                              "https://example.com/a " + sha('2'),
		"https://example.com/b":                              "",
		"git://example.com/r.git#main:sub":                   "git://example.com/r.git#" + commit + ":sub",
		"git://example.com/r.git":                            "git://example.com/r.git#" + commit,
		"git://example.com/r.git#" + strings.Repeat("d", 40): "git://example.com/r.git#" + strings.Repeat("d", 40),
		"git://example.com/r.git#other":                      "",
		"local://context":                                    "local://context",
		"oci-layout://x@" + sha('3'):                         "oci-layout://x@" + sha('3'),
	} {
		for _, strict := range []bool{false, true} {
			op := &pb.SourceOp{Identifier: from, Attrs: map[string]string{}}
			_, err := sourcepolicy.NewEngine([]*spb.Policy{pins.policy(strict)}).Evaluate(t.Context(), op)
			got := strings.TrimSpace(op.Identifier + " " + checksum(op.Attrs))
			switch {
			case want == "" && strict:
				if !errors.Is(err, sourcepolicy.ErrSourceDenied) {
					t.Errorf("%s, strict: %q, %v; expected a denial", from, got, err)
				}
			case want == "" && (err != nil || got != from), want != "" && (err != nil || got != want):
				t.Errorf("%s, strict %t: %q, %v; expected %q", from, strict, got, err, want)
			}
		}
	}
	if p := (Pins{}).policy(false); p != nil {
		t.Errorf("a policy for nothing: %v", p)
	}
}

// What the time of a commit is has no part in the input, and what the user asks for has.
func TestDates(t *testing.T) {
	b := loaded(t, "FROM scratch\n", Options{})
	before := b.Parts()
	if b.Date() != "315532800" {
		t.Errorf("date is %s", b.Date())
	}
	b.SetDate("1700000000")
	b.SetDate("")
	if b.Date() != "1700000000" || !maps.Equal(before, b.Parts()) {
		t.Errorf("date is %s, parts changed: %v", b.Date(), b.Parts().Changed(before))
	}
	asked := loaded(t, "FROM scratch\n", Options{Args: map[string]string{"SOURCE_DATE_EPOCH": "5"}})
	asked.SetDate("7")
	if asked.Date() != "5" {
		t.Errorf("date is %s", asked.Date())
	}
}

func BenchmarkPins(b *testing.B) {
	build := loaded(b, "FROM golang:1.26 AS build\nCOPY . .\nRUN go build\nFROM busybox:1\nCOPY --from=build /a /a\n", Options{})
	for b.Loop() {
		if _, err := build.Pins(b.Context(), newLibrary()); err != nil {
			b.Fatal(err)
		}
	}
}
