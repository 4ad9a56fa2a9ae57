package kbld_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// simple is an App with one source.
func simple() stagetest.Case {
	return stagetest.Case{
		Config: `config:
  sources:
  - {image: app, path: src}
  destinations:
  - {image: app, newImage: HOST/team/app}
`,
		Manifests: deployment("app"),
		Files: map[string]string{
			"src/Dockerfile": "FROM HOST/base:1\nCOPY . /\n",
			"src/main.go":    "package main\n",
		},
	}
}

func TestBuildsOnceOnly(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	job, first := w.must(simple())
	if n := w.builder.count(); n != 1 {
		t.Fatalf("%d builds, expected one", n)
	}
	if got := images(job)["app"]; got.Action != "built" || got.Reason != "first build" {
		t.Errorf("image: %+v", got)
	}
	if !strings.Contains(string(first.Manifests), "image: "+w.host+"/team/app@sha256:") {
		t.Errorf("manifests:\n%s", first.Manifests)
	}
	if !strings.Contains(string(first.Manifests), "path: src") {
		t.Errorf("the origin's path isn't relative to the App's folder:\n%s", first.Manifests)
	}

	for name, lock := range map[string]*stages.Lock{"no lock": nil, "lock": lockOf(first, false), "enforced lock": lockOf(first, true)} {
		t.Run(name, func(t *testing.T) {
			c := simple()
			c.Lock = lock
			w.seen()
			job, again := w.must(c)
			if n := w.builder.count(); n != 0 {
				t.Errorf("%d builds, expected none", n)
			}
			if found := writes(w.seen()); len(found) > 0 {
				t.Errorf("the registry was written to: %v", found)
			}
			if got := images(job)["app"]; got.Action != "reused" {
				t.Errorf("image: %+v", got)
			}
			if diff := cmp.Diff(first, again, sameImages); diff != "" {
				t.Errorf("result differs (-first +again):\n%s", diff)
			}
		})
	}
}

// An override to the name of a source has it built; one that settles on an image goes before sources.
func TestOverrideToSource(t *testing.T) {
	w := newWorld(t)
	digest := w.push("base:1", "base")
	c := simple()
	c.Manifests = deployment("nice", "nice/by-repo:v2", "settled", "HOST/base:1")
	c.Config += "  overrides:\n  - {image: nice, newImage: app}\n  - {imageRepo: nice/by-repo, newImage: app}\n" +
		"  - {image: settled, newImage: 'HOST/base@" + digest + "', preresolved: true}\n"
	job, result := w.must(c)
	if n := w.builder.count(); n != 1 {
		t.Errorf("%d builds, expected one for both names", n)
	}
	got := images(job)
	for ref, action := range map[string]string{"nice": "built", "nice/by-repo:v2": "built", "settled": "kept", w.host + "/base:1": "resolved"} {
		if got[ref].Action != action {
			t.Errorf("%s: %+v, expected it %s", ref, got[ref], action)
		}
	}
	if got["nice"].To != got["nice/by-repo:v2"].To || !strings.HasPrefix(got["nice"].To, w.host+"/team/app@sha256:") {
		t.Errorf("images: %+v", got)
	}

	c.Lock = lockOf(result, true)
	_, again := w.must(c)
	if n := w.builder.count(); n != 0 {
		t.Errorf("%d builds with a lock", n)
	}
	if diff := cmp.Diff(result, again, sameImages); diff != "" {
		t.Errorf("result differs (-first +again):\n%s", diff)
	}
}

// What only the client can reach, the client pushes; all else is the daemon's.
func TestPushThroughTheClient(t *testing.T) {
	secure, _ := newTLSWorld(t, false)
	for name, c := range map[string]struct {
		world   *world
		through int
	}{"private CA": {secure, 1}, "plain HTTP": {newWorld(t), 0}} {
		t.Run(name, func(t *testing.T) {
			c.world.must(appCase)
			if c.world.builder.through != c.through {
				t.Errorf("%d pushes through the client, expected %d", c.world.builder.through, c.through)
			}
			c.world.must(appCase)
			if builds := c.world.builder.count(); builds != 1 {
				t.Errorf("%d builds in two runs", builds)
			}
		})
	}
}

// With what the last build was made of at hand, the reason names files and arguments.
func TestReasonsNameWhatChanged(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	for name, c := range map[string]struct {
		change func(c *stagetest.Case)
		want   []string
	}{
		"content":  {func(c *stagetest.Case) { c.Files["src/main.go"] = "package mine\n" }, []string{"src/main.go changed"}},
		"several":  {func(c *stagetest.Case) { delete(c.Files, "src/main.go"); c.Files["src/lib/x.go"] = "x" }, []string{"src/lib is new", "src/main.go is gone"}},
		"argument": {option("buildArgs: {A: hunter2}"), []string{"build argument A is new"}},
		"many": {func(c *stagetest.Case) {
			for i := range 9 {
				c.Files[fmt.Sprintf("src/f%d", i)] = ""
			}
		}, nil},
		"without a lock": {func(c *stagetest.Case) { c.Files["src/main.go"] = "package ours\n" }, []string{"src/main.go changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			kept := func(_ testing.TB, job *stages.Job) { job.Cache = cache }
			before := simple()
			before.Setup = kept
			_, first := w.must(before)
			changed := simple()
			c.change(&changed)
			changed.Setup, changed.Lock = kept, lockOf(first, false)
			if name == "without a lock" {
				changed.Lock = nil
			}
			job, _ := w.must(changed)
			got := images(job)["app"]
			if c.want == nil {
				if !strings.HasSuffix(got.Reason, "and 4 more") || len(got.Changed) != 9 {
					t.Errorf("reason %q, changed %q", got.Reason, got.Changed)
				}
				return
			}
			if diff := cmp.Diff(c.want, got.Changed); diff != "" || got.Reason != strings.Join(c.want, ", ") {
				t.Errorf("reason %q, changed (-want +got):\n%s", got.Reason, diff)
			}
		})
	}
}

func TestRebuildsForAReason(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	w.push("base:2", "base 2")
	_, first := w.must(simple())
	w.builder.count()
	for name, c := range map[string]struct {
		change func(c *stagetest.Case)
		want   string
	}{
		"content":    {func(c *stagetest.Case) { c.Files["src/main.go"] = "package mine\n" }, "context src changed"},
		"new file":   {func(c *stagetest.Case) { c.Files["src/x"] = "" }, "context src changed"},
		"Dockerfile": {func(c *stagetest.Case) { c.Files["src/Dockerfile"] += "LABEL a=b\n" }, "Dockerfile src/Dockerfile changed, context src changed"},
		"base":       {func(*stagetest.Case) { w.push("base:1", "moved") }, "base image HOST/base:1 moved"},
		"args":       {option("buildArgs: {A: b}"), "build arguments changed"},
		"target":     {option("target: x"), "target changed"},
		"platform":   {option("platforms: [linux/arm64]"), "platforms changed"},
		"destination": {
			func(c *stagetest.Case) { c.Config = strings.ReplaceAll(c.Config, "team/app", "other/app") },
			"first build for " + w.host + "/other/app",
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer w.push("base:1", "base")
			changed := simple()
			c.change(&changed)
			changed.Lock = lockOf(first, false)
			job, _ := w.must(changed)
			if n := w.builder.count(); n != 1 {
				t.Errorf("%d builds, expected one", n)
			}
			want := strings.ReplaceAll(c.want, "HOST", w.host)
			got := images(job)["app"]
			// Digests are another matter.
			got.Reason, _, _ = strings.Cut(got.Reason, " from sha256:")
			if got.Action != "built" || got.Reason != want {
				t.Errorf("image is %s because %q, expected built because %q", got.Action, got.Reason, c.want)
			}

			changed.Lock = lockOf(first, true)
			_, _, err := w.run(changed)
			if name == "base" {
				// As for references of the manifests, the lock's word counts.
				if err != nil {
					t.Errorf("under an enforced lock: %v", err)
				}
				return
			}
			var stale *stages.LockError
			if !errors.As(err, &stale) || stale.Entry != "image app" {
				t.Errorf("under an enforced lock: expected a LockError of the image, got %v", err)
			}
			if name != "destination" && (stale == nil || stale.Reason != c.want) {
				t.Errorf("under an enforced lock: %v, expected %q", err, c.want)
			}
			if n := w.builder.count(); n != 0 {
				t.Errorf("under an enforced lock: %d builds", n)
			}
		})
	}
}

// option adds an option to the source.
func option(text string) func(*stagetest.Case) {
	return func(c *stagetest.Case) {
		c.Config = strings.ReplaceAll(c.Config, "path: src}", "path: src, buildkit: {"+text+"}}")
	}
}

func TestImageGoneFromRegistry(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	_, first := w.must(simple())
	w.builder.count()

	digest := first.Images[0].Image[strings.Index(first.Images[0].Image, "@"):]
	tag := ":strake-" + first.Images[0].Annotations[schema.AnnotationBuildInput][:32]
	w.lose("team/app", digest, tag)

	c := simple()
	c.Lock = lockOf(first, true)
	job, again := w.must(c)
	if n := w.builder.count(); n != 1 {
		t.Errorf("%d builds, expected one", n)
	}
	if got := images(job)["app"]; got.Action != "built" || got.Reason != "image is gone from the registry" {
		t.Errorf("image: %+v", got)
	}
	if diff := cmp.Diff(first, again, sameImages); diff != "" {
		t.Errorf("result differs (-first +again):\n%s", diff)
	}

	w.lose("team/app", digest, tag)
	w.builder.salt = "other"
	_, _, err := w.run(c)
	var stale *stages.LockError
	if !errors.As(err, &stale) || !strings.Contains(stale.Reason, "building it again from equal input gave") {
		t.Errorf("expected a LockError about the digest, got %v", err)
	}
}

func TestEqualInputIsBuiltOnce(t *testing.T) {
	w := newWorld(t)
	c := stagetest.Case{
		Config: `config:
  sources:
  - {image: one, path: a}
  - {image: two, path: b}
  - {image: unused, path: nowhere}
  destinations:
  - {image: one, newImage: HOST/one}
  - {image: two, newImage: HOST/two}
`,
		Manifests: deployment("one", "two"),
		Files:     map[string]string{"a/Dockerfile": "FROM scratch\n", "b/Dockerfile": "FROM scratch\n"},
	}
	job, result := w.must(c)
	if n := w.builder.count(); n != 1 {
		t.Errorf("%d builds, expected one", n)
	}
	for ref, i := range images(job) {
		if !strings.HasPrefix(i.To, w.host+"/"+ref+"@sha256:") {
			t.Errorf("%s became %s", ref, i.To)
		}
	}
	if len(result.Images) != 2 {
		t.Errorf("images: %+v", result.Images)
	}
}
