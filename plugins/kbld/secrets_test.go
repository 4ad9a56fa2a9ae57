package kbld

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// hiding records what a job is told to hide.
func hiding(t *testing.T, c stagetest.Case) (*stages.Job, *[]string) {
	t.Helper()
	var hidden []string
	job := stagetest.NewJob(t, c)
	job.Hide = func(value []byte) { hidden = append(hidden, string(value)) }
	return job, &hidden
}

func TestSecrets(t *testing.T) {
	t.Setenv("STRAKE_TEST_TOKEN", "value of the variable")
	job, hidden := hiding(t, stagetest.Case{
		Beside:  map[string]string{"secrets/b.txt": "value of the file\n"},
		Files:   map[string]string{"src/d.txt": "value in the source"},
		Objects: stagetest.Objects{Secrets: map[string]map[string]string{"s": {"k": "value of the Secret"}}},
	})
	own := sourceOf(t, `  buildkit: {secrets: [{id: a, env: STRAKE_TEST_TOKEN}, {id: b, file: secrets/b.txt}, {id: c, secretRef: {name: s, key: k}}]}`)
	docker := sourceOf(t, `  docker: {build: {rawOptions: ["--secret=id=d,src=d.txt"]}}`)
	got := map[string]string{}
	for _, s := range []source{own, docker} {
		options, err := s.optionsFor(job)
		if err != nil {
			t.Fatal(err)
		}
		if len(*hidden) != len(got) {
			t.Fatal("secrets are read before there is something to build")
		}
		for id, read := range options.Secrets {
			value, err := read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got[id] = string(value)
		}
	}
	want := map[string]string{"a": "value of the variable", "b": "value of the file\n", "c": "value of the Secret", "d": "value in the source"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, value := range want {
		if !strings.Contains(strings.Join(*hidden, "|"), value) {
			t.Errorf("%q is not hidden", value)
		}
	}
}

func TestMissingSecrets(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	job, _ := hiding(t, stagetest.Case{
		Files:   map[string]string{"src/x": "x"},
		Objects: stagetest.Objects{Secrets: map[string]map[string]string{"s": {"key": "value"}}},
	})
	if err := os.Symlink("/etc/passwd", filepath.Join(job.Sources.Dir(), "src/link")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ options, err, hint string }{
		"variable":  {"buildkit: {secrets: [{id: a, env: STRAKE_TEST_UNSET}]}", "source app: secret a: environment variable STRAKE_TEST_UNSET is not set", ""},
		"file":      {"buildkit: {secrets: [{id: a, file: nope}]}", "source app: secret a: nope: no such file", ""},
		"Secret":    {"buildkit: {secrets: [{id: a, secretRef: {name: nope, key: k}}]}", `secret a: Secret nope: Secret "nope": not found`, "add a Secret of that name"},
		"key":       {"buildkit: {secrets: [{id: a, secretRef: {name: s, key: keys}}]}", `secret a: Secret s has no key "keys"`, "did you mean key?"},
		"in source": {`docker: {build: {rawOptions: ["--secret=id=a,src=nope"]}}`, "secret a: src/nope: no such file", ""},
		"link":      {`docker: {build: {rawOptions: ["--secret=id=a,src=link"]}}`, "secret a: src/link can't be read", ""},
		"agent":     {"buildkit: {ssh: [{}]}", "source app: ssh default: environment variable SSH_AUTH_SOCK is not set", "start an SSH agent, or name a key"},
		"key file":  {`docker: {build: {rawOptions: ["--ssh=default=nope"]}}`, "ssh default: src/nope: no such file or folder", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := sourceOf(t, "  "+c.options)
			options, err := s.optionsFor(job)
			for _, read := range options.Secrets {
				if err == nil {
					_, err = read(t.Context())
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(stages.Hint(err), c.hint) {
				t.Errorf("error: %v (hint: %s)\nexpected: %s (hint: %s)", err, stages.Hint(err), c.err, c.hint)
			}
		})
	}
}

// What this machine lacks is said before any step runs.
func TestCheckLooksForSecrets(t *testing.T) {
	job, _ := hiding(t, stagetest.Case{})
	step := stagetest.Bind(t, Plugin(Deps{Builder: buildkit.New(buildkit.ClientOptions{})}),
		"config: {sources: [{image: app, path: ., buildkit: {secrets: [{id: a, env: STRAKE_TEST_UNSET}, {id: b, file: nope}]}}]}")
	err := step.(stages.Checker).Check(t.Context(), job)
	if want := "source app: secret a: environment variable STRAKE_TEST_UNSET is not set\nsource app: secret b: nope: no such file"; err == nil || err.Error() != want {
		t.Errorf("error: %v, expected %s", err, want)
	}
}

func TestPathsOfThisMachine(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("AWS_ACCESS_KEY_ID", "id of the environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "key of the environment")
	job, hidden := hiding(t, stagetest.Case{Files: map[string]string{"src/key": "x"}})
	for options, want := range map[string]buildkit.Options{
		"buildkit: {ssh: [{id: a, paths: [keys/id, /abs, ~/.ssh/id]}]}": {SSH: map[string][]string{"a": {job.Dir + "/keys/id", "/abs", "/home/u/.ssh/id"}}},
		`docker: {build: {rawOptions: ["--ssh=a=key"]}}`:                {SSH: map[string][]string{"a": {job.Sources.Dir() + "/src/key"}}},
		"buildkit: {cacheFrom: [{type: local, src: ../cache}], cacheTo: [{type: local, dest: /cache}]}": {
			CacheFrom: []buildkit.Cache{{Type: "local", Attrs: map[string]string{"src": filepath.Join(job.Dir, "../cache")}}},
			CacheTo:   []buildkit.Cache{{Type: "local", Attrs: map[string]string{"dest": "/cache"}}},
		},
		"buildkit: {cacheTo: [{type: s3, bucket: b}]}": {CacheTo: []buildkit.Cache{{Type: "s3", Attrs: map[string]string{
			"bucket": "b", "access_key_id": "id of the environment", "secret_access_key": "key of the environment",
		}}}},
		"buildkit: {cacheTo: [{type: s3, bucket: b, access_key_id: a, secret_access_key: given}]}": {CacheTo: []buildkit.Cache{{Type: "s3", Attrs: map[string]string{
			"bucket": "b", "access_key_id": "a", "secret_access_key": "given",
		}}}},
	} {
		s := sourceOf(t, "  "+options)
		got, err := s.optionsFor(job)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", options, diff)
		}
	}
	slices.Sort(*hidden)
	if diff := cmp.Diff([]string{"given", "key of the environment"}, *hidden); diff != "" {
		t.Errorf("hidden (-want +got):\n%s", diff)
	}
}
