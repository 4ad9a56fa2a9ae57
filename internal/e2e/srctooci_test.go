package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// The programs of examples/src-to-oci, and what they answer.
var programs = map[string]string{
	"go":     "Hello stranger, from Go!\n",
	"nodejs": "Hello stranger, from Node.js!\n",
}

// copySrcToOCI puts the example into the world, and its Apps into the world's namespace.
func (w *world) copySrcToOCI() {
	w.t.Helper()
	w.copy("../../examples/src-to-oci", "src-to-oci")
	for runtime := range programs {
		w.replace("src-to-oci/"+runtime+"-simpleapp.yaml", "namespace: default", "namespace: "+w.namespace)
	}
}

// needNode skips a test in sandboxes without the image that it builds on; “make test” has it made.
func needNode(t *testing.T) {
	t.Helper()
	ref, err := name.ParseReference(os.Getenv("STRAKE_SANDBOX_REGISTRY") + "/library/node:lts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(ref); err != nil {
		t.Skipf("needs the image node: bin/sandbox seed node: %v", err)
	}
}

// One App for each program, with the Dockerfile and the configuration that the platform has for all:
// from folders, and then by an App of kapp-controller from three git repositories, which makes the same
// image, so that none is built.
func TestSourceDockerfilesAndConfigFromThreePlaces(t *testing.T) {
	t.Parallel()
	for runtime, answer := range programs {
		t.Run(runtime, func(t *testing.T) {
			if runtime == "nodejs" {
				needNode(t)
			}
			w := newWorld(t)
			w.copySrcToOCI()
			app := "src-to-oci/" + runtime + "-simpleapp.yaml"
			w.must("run", "-f", app)
			if got := w.answerOf(runtime + "-simpleapp"); got != answer {
				t.Errorf("the program answers %q", got)
			}
			if o := w.must("run", "-f", app); !strings.Contains(o.stdout, "nothing was built, pushed or applied") {
				t.Errorf("second run: %s", o)
			}
			image := w.deployedImage()
			w.must("delete", "-f", app)

			// kbld doesn't mind the case of keys, so that this spelling is found too.
			w.replace("src-to-oci/build/build.yml", "kubectlBuildkit:", "kubectlBuildKit:")
			git := serveRepositories(t, map[string]string{
				"source": filepath.Join(w.dir, "src-to-oci/source-"+runtime),
				"build":  filepath.Join(w.dir, "src-to-oci/build"),
				"config": filepath.Join(w.dir, "src-to-oci/config"),
			})
			w.write("cr.yaml", fmt.Sprintf(`apiVersion: kappctrl.k14s.io/v1alpha1
kind: App
metadata: {name: from-git, namespace: %s}
spec:
  serviceAccountName: default
  fetch:
  - git: {url: %[2]s/source.git, ref: origin/main}
  - git: {url: %[2]s/build.git, ref: origin/main}
  - git: {url: %[2]s/config.git, ref: origin/main}
  template:
  - ytt:
      paths: [./1, ./2]
      inline:
        paths:
          values.yml: |
            #@data/values
            ---
            app_name: %[3]s-simpleapp
            runtime: %[3]s
  - kbld: {}
  deploy:
  - kapp: {}
`, w.namespace, git, runtime))
			w.grantAdmin("default")
			w.must("run", "-f", "cr.yaml", "--buildkit-addr", listen(t).address)
			if got := w.deployedImage(); got != image {
				t.Errorf("from git %s, from folders %s", got, image)
			}
			if got := w.answerOf(runtime + "-simpleapp"); got != answer {
				t.Errorf("the program from git answers %q", got)
			}
			w.must("delete", "-f", "cr.yaml")
		})
	}
}

// What the platform asks of an App is told when it is missing, and another version of the runtime is
// another image.
func TestWhatThePlatformAsksOfAnApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.copySrcToOCI()
	app := "src-to-oci/go-simpleapp.yaml"
	w.replace(app, "runtime: go\n", "runtime: cobol\n")
	o := w.strake("render", "-f", app, "--until", "template")
	if o.code != 1 || !strings.Contains(o.stderr, `runtime "cobol": expected one of go, nodejs`) {
		t.Errorf("an unknown runtime: %s", o)
	}
	w.replace(app, "runtime: cobol\n", "runtime: go\n            runtime_version: \"99.9\"\n")
	o = w.strake("build", "-f", app)
	if o.code != 1 || !strings.Contains(o.stderr, "golang:99.9") {
		t.Errorf("a runtime that isn't there: %s", o)
	}
	w.replace(app, `"99.9"`, `"1"`)
	if o = w.must("plan", "-f", app); !strings.Contains(o.stdout, "go-simpleapp") {
		t.Errorf("plan: %s", o)
	}
}
