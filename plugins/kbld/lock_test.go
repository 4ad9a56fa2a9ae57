package kbld_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestEnforcedLockOfReferences(t *testing.T) {
	w := newWorld(t)
	digest := w.push("app:1.0.0", "1")
	w.push("app:1.5.0", "1.5")
	pushIndex(t, w.host+"/multi:1")
	c := stagetest.Case{
		Config: in(`overrides:
- {image: chosen, newImage: HOST/app, tagSelection: {semver: {constraints: ">=1.0.0"}}}
- {image: fixed, newImage: "HOST/app@` + digest + `", preresolved: true}
- {image: loose, newImage: anything, preresolved: true}
- {image: arm, newImage: "HOST/multi:1", platformSelection: {os: linux, architecture: arm64}}`),
		Manifests: deployment("HOST/app:1.0.0", "chosen", "fixed", "loose", "arm", "HOST/app@"+digest),
	}
	_, first := w.must(c)
	w.push("app:1.0.0", "moved")
	w.push("app:1.6.0", "newer")
	w.seen()

	c.Lock = lockOf(first, true)
	job, again := w.must(c)
	if requests := w.seen(); len(requests) > 0 {
		t.Errorf("requests under an enforced lock: %v", requests)
	}
	if diff := cmp.Diff(first, again, sameImages); diff != "" {
		t.Errorf("result differs (-first +locked):\n%s", diff)
	}
	actions := map[string]string{}
	for ref, i := range images(job) {
		actions[strings.TrimPrefix(ref, w.host+"/")] = i.Action
	}
	want := map[string]string{"app:1.0.0": "locked", "chosen": "locked", "fixed": "kept", "loose": "kept", "arm": "locked", "app@" + digest: "kept"}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}

	for name, e := range map[string]struct{ config, manifests, want string }{
		"new reference":      {c.Config, c.Manifests + "  - image: HOST/app:1.5.0\n", "app:1.5.0: is not in the lock file"},
		"other repository":   {strings.Replace(c.Config, "newImage: HOST/app,", "newImage: HOST/other,", 1), c.Manifests, "image chosen: is an image of"},
		"other tag":          {strings.Replace(c.Config, "HOST/multi:1", "HOST/multi:2", 1), c.Manifests, "/multi:2, but was from"},
		"other platform":     {strings.Replace(c.Config, "arm64", "amd64", 1), c.Manifests, "image arm: is for linux/amd64, but for linux/arm64 in the lock file"},
		"no platform":        {strings.Replace(c.Config, ", platformSelection: {os: linux, architecture: arm64}", "", 1), c.Manifests, "image arm: is for any platform"},
		"other fixed digest": {strings.Replace(c.Config, digest, "sha256:"+strings.Repeat("0", 64), 1), c.Manifests, "image fixed: is "},
	} {
		t.Run(name, func(t *testing.T) {
			changed := stagetest.Case{Config: e.config, Manifests: e.manifests, Lock: c.Lock}
			_, _, err := w.run(changed)
			var stale *stages.LockError
			if !errors.As(err, &stale) || !strings.Contains(err.Error(), e.want) {
				t.Errorf("error: %v, expected a LockError with %q", err, e.want)
			}
			if requests := w.seen(); len(requests) > 0 {
				t.Errorf("requests: %v", requests)
			}
		})
	}
}

func TestEnforcedLockOfSources(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	_, first := w.must(simple())
	w.builder.count()
	drop := func(notes ...string) *stages.Lock {
		lock := lockOf(first, true)
		i := first.Images[0]
		i.Annotations = maps.Clone(i.Annotations)
		for key := range i.Annotations {
			for _, n := range notes {
				if strings.HasPrefix(key, n) {
					delete(i.Annotations, key)
				}
			}
		}
		lock.File.Images = []schema.LockedImage{i}
		return lock
	}
	for name, c := range map[string]struct {
		lock *stages.Lock
		want string
	}{
		"empty lock": {&stages.Lock{Enforce: true}, "lock: image app: is not in the lock file"},
		"not built":  {drop("strake.dev/"), "lock: image app: is built from src, but not in the lock file"},
		"parts":      {drop(schema.AnnotationBuildPart + "target"), "lock: image app: target changed"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := simple()
			changed.Lock = c.lock
			_, _, err := w.run(changed)
			var stale *stages.LockError
			if !errors.As(err, &stale) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
		})
	}
	if n := w.builder.count(); n != 0 {
		t.Errorf("%d builds", n)
	}
	t.Run("bases moved and image gone", func(t *testing.T) {
		w.push("base:1", "moved")
		w.seen()
		w.lose("team/app", first.Images[0].Image[strings.Index(first.Images[0].Image, "@"):])
		c := simple()
		c.Lock = lockOf(first, true)
		_, again := w.must(c)
		if diff := cmp.Diff(first, again, sameImages); diff != "" {
			t.Errorf("result differs (-first +again):\n%s", diff)
		}
		if n := w.builder.count(); n != 1 {
			t.Errorf("%d builds, expected one from the locked base", n)
		}
		for _, r := range w.seen() {
			if strings.Contains(r, "/base/") {
				t.Errorf("the registry was asked for a pinned base: %s", r)
			}
		}
	})
	t.Run("one base is released", func(t *testing.T) {
		c := simple()
		c.Lock = lockOf(first, true)
		c.Lock.Free = []string{w.host + "/base:1"}
		_, moved := w.must(c)
		if diff := cmp.Diff(first, moved, sameImages); diff == "" {
			t.Error("the image is the same, although its base moved")
		}
		if n := w.builder.count(); n != 1 {
			t.Errorf("%d builds", n)
		}
		c.Files = maps.Clone(c.Files)
		for name := range c.Files {
			c.Files[name] += "\n"
		}
		var stale *stages.LockError
		if _, _, err := w.run(c); !errors.As(err, &stale) {
			t.Errorf("another change beside the base: %v", err)
		}
	})
}

// Where a registry can't tell what a base image is, the lock's word counts, so that an outage doesn't
// cause builds.
func TestUnknownBase(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	_, first := w.must(simple())
	w.builder.count()
	w.lose("base", ":1")
	c := simple()
	c.Lock = lockOf(first, false)
	_, again := w.must(c)
	if diff := cmp.Diff(first, again, sameImages); diff != "" {
		t.Errorf("result differs (-first +again):\n%s", diff)
	}
	c.Lock = nil
	w.must(c)
	if n := w.builder.count(); n != 1 {
		t.Errorf("without a lock: %d builds, expected one", n)
	}
}
