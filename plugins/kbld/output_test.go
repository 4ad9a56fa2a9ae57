package kbld_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// An image goes into files with a real daemon: without a destination into them only, with one into them
// and the registry.
func TestRealOutput(t *testing.T) {
	s := newSandbox(t)
	dir := t.TempDir()
	c := stagetest.Case{
		Config:    "config: {sources: [{image: 'team/app:1', path: ., buildkit: {output: {ociLayout: out, tar: out.tar}}}]}",
		Manifests: deployment("team/app:1"),
		Files:     map[string]string{"Dockerfile": "FROM scratch\nCOPY text /\n", "text": "one"},
		Setup:     func(_ testing.TB, job *stages.Job) { job.Dir = dir },
	}
	check := func(t *testing.T, c stagetest.Case, action, reason string) stages.Result {
		t.Helper()
		job, result := s.must(c)
		if got := images(job)["team/app:1"]; got.Action != action || got.Reason != reason {
			t.Errorf("%s (%s), expected %s (%s)", got.Action, got.Reason, action, reason)
		}
		return result
	}
	first := check(t, c, "built", "first build")
	image := first.Images[0].Image
	if !strings.HasPrefix(image, "team/app@sha256:") || !strings.Contains(string(first.Manifests), "image: "+image) {
		t.Errorf("the image is %s, in manifests\n%s", image, first.Manifests)
	}
	check(t, c, "reused", "was built from equal input before")
	locked := c
	locked.Lock = lockOf(first, true)
	check(t, locked, "reused", "was built from equal input before")

	if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	withLock := c
	withLock.Lock = lockOf(first, false)
	check(t, withLock, "built", "it isn't in out")
	check(t, locked, "reused", "was built from equal input before")

	t.Run("with a destination too", func(t *testing.T) {
		c := c
		c.Config = strings.TrimSuffix(c.Config, "}") + ", destinations: [{image: 'team/app:1', newImage: REPO/app}]}"
		pushed := check(t, c, "built", "first build")
		if got := pushed.Images[0].Image; !strings.HasPrefix(got, s.repo+"/app@") || got[strings.Index(got, "@"):] != image[strings.Index(image, "@"):] {
			t.Errorf("pushed %s, in files %s", got, image)
		}
		check(t, c, "reused", "was built from equal input before")
		if err := os.Remove(filepath.Join(dir, "out.tar")); err != nil {
			t.Fatal(err)
		}
		c.Lock = lockOf(pushed, false)
		check(t, c, "built", "it isn't in out.tar")
	})

	t.Run("a plan writes nothing", func(t *testing.T) {
		c := c
		c.Config = strings.NewReplacer("ociLayout: out", "ociLayout: planned", "out.tar", "planned.tar").Replace(c.Config)
		job := stagetest.NewJob(t, c)
		_, changes, err := stagetest.Bind(t, newWorld(t).plugin(), c.Config).(stages.Planner).Plan(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		var ops []string
		for _, change := range changes {
			ops = append(ops, change.Op+" "+change.Name)
		}
		if got := strings.Join(ops, ", "); got != "build team/app, create planned, create planned.tar" {
			t.Errorf("changes: %s", got)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "planned*")); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestFilesOnlyHasNoPlatform(t *testing.T) {
	_, _, err := newWorld(t).run(stagetest.Case{
		Config: `config:
  sources: [{image: app, path: ., buildkit: {output: {tar: out.tar}}}]
  overrides: [{image: other, newImage: app, platformSelection: {os: linux, architecture: amd64}}]
`,
		Manifests: deployment("other"), Files: map[string]string{"Dockerfile": "FROM scratch\n"},
	})
	if err == nil || !strings.Contains(err.Error(), "image other: has a platformSelection, which needs a destination") {
		t.Errorf("error: %v", err)
	}
}

// The credentials of the step's own Secrets are shown to the registry, and to no one else.
func TestSecretRefs(t *testing.T) {
	w := newWorld(t)
	digest := w.push("private:1", "x")
	w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "robot" && password == "password of the robot" {
			return false
		}
		rw.Header().Set("Www-Authenticate", `Basic realm="private"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	}
	auth := base64.StdEncoding.EncodeToString([]byte("robot:password of the robot"))
	c := stagetest.Case{
		Manifests: deployment("HOST/private:1"),
		Objects: stagetest.Objects{Secrets: map[string]map[string]string{
			"keys":   {"username": "robot", "password": "password of the robot", "hostname": w.host},
			"docker": {".dockerconfigjson": `{"auths": {"` + w.host + `": {"auth": "` + auth + `"}}}`},
			"other":  {"username": "robot", "password": "another password", "hostname": "registry.example.com"},
			"where":  {"username": "robot", "password": "password of the robot"},
			"broken": {".dockerconfigjson": "password of the robot"},
		}},
	}
	for config, want := range map[string]string{
		"secretRefs: [{name: keys}]":                  "",
		"secretRefs: [{name: docker}]":                "",
		"secretRefs: [{name: other}, {name: docker}]": "",
		"":                             "no access to HOST/private:1",
		"secretRefs: [{name: other}]":  "no access to HOST/private:1",
		"secretRefs: [{name: nope}]":   `secretRefs[0]: Secret nope: Secret "nope": not found`,
		"secretRefs: [{name: where}]":  "secretRefs[0]: Secret where: has no hostname that says which registry it is for",
		"secretRefs: [{name: broken}]": "secretRefs[0]: Secret broken: .dockerconfigjson: is not the JSON of a docker config",
	} {
		c := c
		c.Config = config
		_, result, err := w.run(c)
		want = strings.ReplaceAll(want, "HOST", w.host)
		switch {
		case want == "" && (err != nil || !strings.HasSuffix(result.Images[0].Image, digest)):
			t.Errorf("%q: %v, %v", config, result.Images, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, expected %s", config, err, want)
		case err != nil && strings.Contains(err.Error(), "password of"):
			t.Errorf("%q: the error holds the password: %v", config, err)
		}
	}
}
