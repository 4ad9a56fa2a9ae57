package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someChanges = `{changes: [{op: create, name: a, reason: new}, {op: update, name: b, diff: "-x\n+y\n"}, {op: noop, name: c}]}`

// Every command, with what it prints.
func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		app  string
		args []string
		want called
	}{
		"run": {
			app: app("built", someChanges), args: []string{"run"},
			want: called{stdout: `images:
  app -> r.io/app@sha256:1  built: because
deploy: 1 created, 1 updated, 1 unchanged
lock: app.lock.yaml written
done in TIME
`, stderr: `fetch-files    done in TIME
template-docs  done in TIME
build-images   RUN true: cached
build-images   image app built: r.io/app@sha256:1 (because)
build-images   done in TIME
deploy-put     create Thing/a (default): new
deploy-put     update Thing/b (default)
deploy-put     done in TIME
`},
		},
		"run without progress": {
			app: app("reused", "{}"), args: []string{"run", "--progress", "none", "--lock-file", ""},
			want: called{stdout: "nothing was built, pushed or applied: default/demo is up to date (TIME)\nlock: app.lock.yaml written\n"},
		},
		"run until template": {
			app: app("built", "{}"), args: []string{"run", "--progress=none", "--until=template"},
			want: called{stdout: "lock: app.lock.yaml unchanged\ndone in TIME\n"},
		},
		"run that fails": {
			app: app("built", `{fail: "the server says no"}`), args: []string{"run", "--progress=none"},
			want: called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): the server says no\n  hint: don't\n"},
		},
		"run that panics": {
			app: app("built", `{panic: true}`), args: []string{"run", "--progress=none"},
			want: called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): internal error: panics\n  hint: this is a bug in strake or in the tool it embeds: please report it\n"},
		},
		"panic before the run": {
			app: app("built", `{panicBinding: true}`), args: []string{"run"},
			want: called{code: 1, stderr: "strake: internal error: bound to panic\n  hint: this is a bug in strake: please report it\n"},
		},
		"run that hangs": {
			app: app("reused", `{hang: true}`), args: []string{"run", "--timeout=1s", "--until=deploy"},
			want: called{code: 8, stderr: `fetch-files    done in TIME
template-docs  done in TIME
build-images   RUN true: cached
build-images   image app reused: r.io/app@sha256:1 (because)
build-images   done in TIME
deploy-put     | hanging
warning: timed out after 1s: stopping…
deploy-put     failed after TIME
strake: deploy-put (app.yaml:12:5): timed out after 1s (context deadline exceeded)
`},
		},
		"plan": {
			app: app("built", someChanges), args: []string{"plan", "--progress=none"},
			want: called{stdout: `build   image/app: because
create  Thing/a (default): new
update  Thing/b (default)
        -x
        +y
noop    Thing/c (default)
plan: 1 to build, 1 to create, 1 to update, 1 unchanged
`},
		},
		"plan without diff, exit code": {
			app: app("reused", someChanges), args: []string{"plan", "--progress=none", "--diff=false", "--detailed-exitcode"},
			want: called{code: 2, stdout: `create  Thing/a (default): new
update  Thing/b (default)
noop    Thing/c (default)
plan: 1 to create, 1 to update, 1 unchanged
`},
		},
		"plan of nothing, exit code": {
			app: app("reused", "{changes: [{op: noop, name: c}]}"), args: []string{"plan", "--progress=none", "--detailed-exitcode"},
			want: called{stdout: "noop    Thing/c (default)\nplan: nothing would be built, pushed or applied: default/demo is up to date\n"},
		},
		"plan as pipeline": {
			app: app("reused", "{}"), args: []string{"plan", "-o", "pipeline"},
			want: called{stdout: `apiVersion: strake.dev/v1alpha1
kind: Pipeline
metadata:
  name: demo
  namespace: default
spec:
  stages:
    - name: fetch-files
      stage: fetch
      uses: files
      with: {content: hello}
    - name: template-docs
      stage: template
      uses: docs
      with: {text: "a: 1\n"}
    - name: build-images
      stage: build
      uses: images
      with: {action: reused}
    - name: deploy-put
      stage: deploy
      uses: put
      with: {}
`},
		},
		"render": {
			app: app("built", "{}"), args: []string{"render", "--progress=none", "--set", "b=2"},
			want: called{stdout: "a: 1\nb: 2\n"},
		},
		"build": {
			app: app("built", `{fail: "not reached"}`), args: []string{"build", "--progress=none"},
			want: called{stdout: "IMAGE  ACTION  PLATFORMS  SIZE  TOOK  BECAME                                                                            REASON\napp    built   -          -     -     r.io/app@sha256:1  because\n"},
		},
		"delete": {
			app: app("built", someChanges), args: []string{"delete", "--progress=none"},
			want: called{stdout: "deleted default/demo: 3 objects\n"},
		},
		"delete nothing": {
			app: app("built", "{}"), args: []string{"delete", "--progress=none"},
			want: called{stdout: "nothing was deleted: default/demo\n"},
		},
		"inspect": {
			app: app("built", "{}"), args: []string{"inspect"},
			want: called{stdout: `NAMESPACE  KIND   NAME   OWNER    STATE    REASON   AGE
default    Thing  a      kapp     ok       -        90s
default    Part   a-2    cluster  ok       -        -
default    Part   a-1    cluster  ongoing  -        -
default    Bit    a-1-1  cluster  ok       -        -
(cluster)  Role   b      cluster  fail     no luck  -
`},
		},
		"inspect as a tree": {
			app: app("built", "{}"), args: []string{"inspect", "--tree"},
			want: called{stdout: `OBJECT           NAMESPACE  STATE    AGE  IMAGES      NOTE
Thing/a          default    ok       90s  r.io/app:1  changed since the deploy: label x
├─ Part/a-2      default    ok       -    -           -
└─ Part/a-1      default    ongoing  -    -           -
   └─ Bit/a-1-1  default    ok       -    -           -
Role/b           (cluster)  fail     -    -           no luck
`},
		},
		"inspect nothing": {
			app: app("built", "{missing: true}"), args: []string{"inspect"},
			want: called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): not deployed\n"},
		},
		"plugins": {
			args: []string{"plugins"},
			want: called{stdout: `STAGE     NAME    KEYS    VERSION  DOES
fetch     files   files   1        Writes files.
template  docs    docs    1        Yields documents.
build     images  images  2        Makes images.
deploy    put     put     3        Applies.
`},
		},
		"validate": {
			app: app("built", "{}"), args: []string{"validate"},
			want: called{stdout: "app.yaml: valid\n"},
		},
		"validate several": {
			app: app("built", "{typo: 1}"), args: []string{"validate", "app.yaml", "-f", "none.yaml"},
			want: called{code: 3, stderr: "app.yaml:12:11: spec.deploy[0].put.typo: unknown field (known: changes, fail, hang, panic, panicBinding, missing, drift, held, limits, secret, revisions)\nnone.yaml: no such file\n"},
		},
		"paused": {
			app: strings.Replace(app("built", "{}"), "spec:", "spec:\n  paused: true", 1), args: []string{"run"},
			want: called{code: 6, stderr: "strake: nothing to run: the App is paused (spec.paused)\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t.Context(), t, nil, test.app, test.args...)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(called{})); diff != "" {
				t.Errorf("strake %s (-want +got):\n%s", strings.Join(test.args, " "), diff)
			}
		})
	}
}

// A step that is left out still counts with what it made before.
func TestSecondRun(t *testing.T) {
	call(t.Context(), t, nil, app("reused", "{}"), "run", "--progress=none")
	got := callHere(t.Context(), nil, "run")
	want := called{
		stdout: "nothing was built, pushed or applied: default/demo is up to date (TIME)\n",
		stderr: `fetch-files    skipped: nothing changed since the last run
template-docs  done in TIME
build-images   RUN true: cached
build-images   image app reused: r.io/app@sha256:1 (because)
build-images   done in TIME
deploy-put     done in TIME
`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(called{})); diff != "" {
		t.Errorf("second run (-want +got):\n%s", diff)
	}
	locked := callHere(t.Context(), nil, "run", "--locked", "--progress=none")
	if locked.code != 0 {
		t.Errorf("locked run: %+v", locked)
	}
	if got := callHere(t.Context(), nil, "run", "--from=deploy", "--progress=none"); got.code != 0 {
		t.Errorf("run from deploy: %+v", got)
	}
}
