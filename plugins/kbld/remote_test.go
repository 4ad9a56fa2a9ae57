package kbld_test

import (
	"strings"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages/stagetest"
)

// An App may have a repository as a source. Its commit is pinned like everything that can move.
func TestRemoteSource(t *testing.T) {
	s := newSandbox(t)
	e := newElsewhere(t, s)
	e.repo.Write("dir/Dockerfile", "FROM scratch\nCOPY code.txt /\n", 0o644)
	sha := e.repo.Commit("Dockerfile")
	c := stagetest.Case{
		Config:    "config: {sources: [{image: app, path: '" + e.web.URL + "/code/.git#main:dir'}], destinations: [{image: app, newImage: REPO/app}]}",
		Manifests: deployment("app"),
	}
	_, first := s.must(c)
	pins, err := schema.PinsOf(first.Images[0])
	if err != nil || len(pins) != 1 || pins[0].Commit != sha {
		t.Fatalf("pins: %v, %v", pins, err)
	}
	if !strings.Contains(string(first.Manifests), "sha: "+sha) {
		t.Errorf("the origin isn't the commit:\n%s", first.Manifests)
	}
	e.move(t)
	// Whatever the branch is now, it is built again from the commit that is pinned.
	for _, tag := range s.tags(s.repo + "/app") {
		lose(t, s.repo+"/app", tag)
	}
	locked := c
	locked.Lock = lockOf(first, true)
	if _, again := s.must(locked); again.Images[0].Image != first.Images[0].Image {
		t.Errorf("with the lock enforced: %s", again.Images[0].Image)
	}
	if _, moved := s.must(c); moved.Images[0].Image == first.Images[0].Image {
		t.Error("a new commit gives the old image")
	}
}
