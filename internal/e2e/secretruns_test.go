package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/sopsfile"
)

// echo is a server that refuses everything and repeats, as it is and decoded, what it was given to log in with: as
// a registry, an API server, git and web server. It returns its addresses for HTTP and for HTTPS.
func echo(t *testing.T) (plain, secure string) {
	t.Helper()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization")
		_, coded, _ := strings.Cut(given, " ")
		plain, _ := base64.StdEncoding.DecodeString(coded)
		if given == "" {
			w.Header().Set("Www-Authenticate", `Basic realm="echo"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		text := fmt.Sprintf("no access with %s (%s)", given, plain)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}]}`, text)
			return
		}
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":%q}`, text)
	})
	server, secureServer := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	t.Cleanup(secureServer.Close)
	return strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(secureServer.URL, "https://")
}

const secretApp = `apiVersion: strake.dev/v1alpha1
kind: App
metadata: {name: vault, namespace: <NAMESPACE>}
spec:
  fetch:
  - {path: config, directory: {path: config}}
  - {path: src, directory: {path: src}}
  template:
  - sops: {paths: [config], age: {privateKeysSecretRef: {name: age-keys}}}
  - ytt: {paths: [config/objects.yml], valuesFrom: [{path: config/values.yml}, {secretRef: {name: values}}]}
  build:
  - kbld:
      config:
        sources:
        - image: app
          path: src
          buildkit:
            secrets: [{id: env, env: EXAMPLE_TOKEN}, {id: file, file: token.txt}, {id: ref, secretRef: {name: token, key: token}}]
        destinations: [{image: app, newImage: '<REPO>'}]
  publish:
  - artifact: {url: 'oci://<REPO>-config:v1', encrypt: {recipients: [<RECIPIENT>]}}
  deploy:
  - kapp: {}
---
{apiVersion: v1, kind: Secret, metadata: {name: age-keys}, stringData: {key.txt: <IDENTITY>}}
---
{apiVersion: v1, kind: Secret, metadata: {name: values}, stringData: {values.yml: "inFile: <VALUES>"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {token: <TOKEN>}}
`

const secretObjects = `#@ load("@ytt:data", "data")
---
apiVersion: v1
kind: Secret
metadata: {name: vault}
stringData: {sops: #@ data.values.inSops
  , file: #@ data.values.inFile
}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: uses}
data: {image: app}
`

// The steps of a build print what they are given, in all forms that its tools know, whole and in pieces.
const secretDockerfile = `FROM busybox:1
RUN --mount=type=secret,id=env --mount=type=secret,id=file --mount=type=secret,id=ref \
    for s in env file ref; do f=/run/secrets/$s; \
      echo "$s is $(cat $f)"; base64 $f; echo "user:$(cat $f)" | base64; echo "x$(cat $f)" | base64; fold -w 13 $f; echo; \
      head -c 14 $f; sleep 0.2; tail -c +15 $f; echo; head -c 14 $f; echo; tail -c +15 $f >&2; \
      head -c 4090 /dev/zero | tr '\0' x; cat $f; echo; \
    done; FAIL
`

const chart = `a: {{ fail (printf "wrong: %s" .Values.inFile) }}`

// Of the secrets that strake is given, wherever they come from, nothing gets out: not on standard output or
// standard error, in no report, plan, lock, record, cache, log or artifact, not encoded and not in pieces.
// docs/secrets.md says where secrets have to be; those places are excepted here, and nothing else.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	r := &room{world: newWorld(t)}
	r.set = nil
	host, secure := echo(t)
	made := map[string]*sentinel{}
	var all []*sentinel
	for _, where := range []string{
		"sops", "a Secret of the file", "a build's secret of the environment", "a build's secret of a file", "a build's secret of a Secret",
		"the docker config", "a kubeconfig's token", "a kubeconfig's password", "a broken kubeconfig", "a URL's password", "a URL's token", "a Secret of a source", "a key's password", "a rendered Secret",
	} {
		made[where] = newSentinel(where)
		all = append(all, made[where])
	}
	value := func(where string) string { return made[where].value }
	inObjects := []*sentinel{made["sops"], made["a Secret of the file"]}

	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sopsfile.Encrypt([]byte("inSops: "+value("sops")+"\n"), "inSops", []age.Recipient{identity.Recipient()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	place := strings.NewReplacer("<NAMESPACE>", r.namespace, "<REPO>", r.repo, "<RECIPIENT>", identity.Recipient().String(), "<IDENTITY>", identity.String(),
		"<VALUES>", value("a Secret of the file"), "<TOKEN>", value("a build's secret of a Secret"), "<HOST>", host, "<SECURE>", secure,
		"<SOURCE>", value("a Secret of a source"), "<USERINFO>", "user:"+value("a URL's password"), "<BEARER>", value("a URL's token"), "<RENDERED>", value("a rendered Secret"))
	write := func(name, text string) { r.write(name, place.Replace(text)) }
	if err := os.RemoveAll(filepath.Join(r.dir, "config")); err != nil {
		t.Fatal(err)
	}
	write("app.yaml", secretApp)
	write("config/values.sops.yml", string(sealed))
	write("config/objects.yml", secretObjects)
	write("src/Dockerfile", strings.Replace(secretDockerfile, "FAIL", "true", 1))
	write("token.txt", value("a build's secret of a file")+"\n")
	write("docker/config.json", fmt.Sprintf(`{"auths":{"<HOST>":{"auth":%q}}}`, base64.StdEncoding.EncodeToString([]byte("user:"+value("the docker config")))))
	r.env = append(r.env, "EXAMPLE_TOKEN="+value("a build's secret of the environment"), "DOCKER_CONFIG="+filepath.Join(r.dir, "docker"))
	kubeconfig, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}

	// The run as it should be, with every way to show it.
	r.does(0, nil, nil, append([]string{"run", "--progress", "plain"}, r.reports()...)...)
	r.does(0, nil, nil, append([]string{"run", "--progress", "gitlab", "--rebuild"}, r.reports()...)...)
	r.does(0, nil, nil, append([]string{"run", "--rebuild", "-o", "json"}, r.reports()...)...)
	github := r.does(0, nil, []string{"GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY=" + filepath.Join(r.dir, "out/summary.md"), "GITHUB_OUTPUT=" + filepath.Join(r.dir, "out/output")}, "run", "--rebuild")
	// GitHub's runner is told what to mask by a command that has the secret, and shows none of it.
	last := &r.exhibits[len(r.exhibits)-1]
	last.text = regexp.MustCompile(`(?m)^::add-mask::.*\n`).ReplaceAllString(github.stderr, "")
	r.does(0, nil, nil, "run", "-o", "app")
	r.does(0, inObjects, nil, "render", "--progress", "plain")
	write("app.yaml", strings.Replace(secretApp, "inFile: <VALUES>", "inFile: <VALUES>-changed", 1))
	r.does(0, nil, nil, append([]string{"plan"}, r.reports()...)...)
	r.does(0, nil, nil, append([]string{"plan", "-o", "json"}, r.reports()...)...)
	r.does(0, nil, nil, "run", "--until", "publish")
	r.does(0, nil, nil, "plan", "--out", "plan.json")
	r.does(0, nil, nil, "apply", "plan.json")
	for _, format := range []string{"text", "html", "markdown", "junit", "json"} {
		r.does(0, nil, nil, "report", "--format", format)
	}
	r.does(0, nil, nil, "inspect", "--tree")
	r.does(0, nil, nil, "inspect", "-o", "json")
	r.does(0, nil, nil, "history", "-o", "json")
	r.does(0, nil, nil, "apps", "-n", r.namespace, "-o", "json")
	r.does(0, nil, nil, "build", "--why", "--rebuild", "--lock-output", "out/kbld.yml")
	// A Pipeline or status that is asked for has the configuration, but not the Secrets.
	r.does(0, nil, nil, "plan", "-o", "pipeline")

	// Artifacts and inventories of manifests.
	write("set/secret.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: set, namespace: <NAMESPACE>}, stringData: {password: <RENDERED>}}\n")
	write("recipients", "<RECIPIENT>\n")
	r.does(0, nil, nil, "artifact", "push", "oci://"+r.repo+"-set:v1", "-f", "set", "--age-recipients", "recipients", "--age-encrypt", "secrets")
	r.does(0, nil, nil, "diff", "set", "-n", r.namespace, "-f", "set")
	r.does(0, nil, nil, "apply", "set", "-n", r.namespace, "-f", "set")
	write("set/secret.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: set, namespace: <NAMESPACE>}, stringData: {password: x-<RENDERED>}}\n")
	r.does(2, nil, nil, "diff", "set", "-n", r.namespace, "-f", "set", "--exit-code")
	r.does(0, nil, nil, "apply", "set", "-n", r.namespace, "-f", "set")
	r.does(0, nil, nil, "inspect", "set", "-n", r.namespace, "-o", "json")

	// Everything that can go wrong with a secret in its hands.
	write("src/Dockerfile", strings.Replace(secretDockerfile, "FAIL", "exit 7", 1))
	r.does(1, nil, nil, append([]string{"build", "-o", "json"}, r.reports()...)...)
	r.does(1, nil, nil, append([]string{"run"}, r.reports()...)...)
	for _, failing := range []struct {
		name, spec, config string
		code               int
	}{
		{"template that prints a value", "template: [{ytt: {valuesFrom: [{secretRef: {name: values}}]}}]", "#@ load('@ytt:data', 'data')\n#@ load('@ytt:assert', 'assert')\n---\na: #@ assert.fail('wrong: ' + data.values.inFile)\n", 1},
		{"chart that prints a value", "template: [{helmTemplate: {valuesFrom: [{secretRef: {name: values}}]}}]", chart, 1},
		{"object that is refused for a value", "template: [{ytt: {valuesFrom: [{secretRef: {name: values}}]}}]\n  deploy: [{kapp: {}}]", "#@ load('@ytt:data', 'data')\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n  labels:\n    x: #@ 'not valid ' + data.values.inFile\n", 1},
		{"the same by server-side apply", "template: [{ytt: {valuesFrom: [{secretRef: {name: values}}]}}]\n  deploy: [{ssa: {}}]", "#@ load('@ytt:data', 'data')\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n  labels:\n    x: #@ 'not valid ' + data.values.inFile\n", 1},
		{"Secret that is refused", "template: [{ytt: {}}]\n  deploy: [{kapp: {}}]", "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ntype: kubernetes.io/tls\nstringData: {tls.crt: <RENDERED>}\n", 1},
		{"Secret whose data isn't base64", "template: [{ytt: {}}]\n  deploy: [{kapp: {}}]", "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ndata: {password: '!<RENDERED>'}\n", 1},
		{"http with a password in the URL", "fetch: [{http: {url: 'http://<USERINFO>@<HOST>/x.tgz'}}]", "", 1},
		{"http with a token in the URL", "fetch: [{http: {url: 'http://<BEARER>@<HOST>/x.tgz'}}]", "", 1},
		{"git with a password in the URL", "fetch: [{git: {url: 'https://<USERINFO>@<SECURE>/x.git', ref: main}}]", "", 1},
		{"git with a token in the URL", "fetch: [{git: {url: 'https://<BEARER>@<SECURE>/x.git', ref: main}}]", "", 1},
		{"git with a Secret", "fetch: [{git: {url: 'https://<SECURE>/x.git', ref: main, secretRef: {name: source}}}]", "", 1},
		{"image with a Secret", "fetch: [{image: {url: <HOST>/x/y, secretRef: {name: source}}}]", "", 1},
		{"image with the docker config", "fetch: [{image: {url: <HOST>/x/y}}]", "", 1},
		{"chart with a Secret", "fetch: [{helmChart: {name: x, repository: {url: 'http://<HOST>/charts', secretRef: {name: source}}}}]", "", 1},
		{"image of a manifest", "template: [{ytt: {}}]\n  build: [{kbld: {}}]", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nimage: <HOST>/x/y:z\n", 1},
		{"build of a repository with a password", "template: [{ytt: {}}]\n  build: [{kbld: {config: {sources: [{image: x, path: 'https://<USERINFO>@<SECURE>/x.git#main'}], destinations: [{image: x, newImage: '<REPO>'}]}}}]", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nimage: x\n", 1},
		{"publish to a registry that refuses", "template: [{ytt: {}}]\n  publish: [{artifact: {url: 'oci://<HOST>/x/y:z'}}]", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", 1},
		{"Secret of the file that isn't one", "template: [{ytt: {}}]\n---\n{apiVersion: v1, kind: Secret, metadata: {name: bad}, data: {password: '!<SOURCE>'}}", "", 3},
		{"Secret with an unknown field", "template: [{ytt: {}}]\n---\n{apiVersion: v1, kind: Secret, metadata: {name: bad}, stringDate: {password: <SOURCE>}}", "", 3},
	} {
		folder := "failing/" + strings.ReplaceAll(strings.ReplaceAll(failing.name, " ", "-"), "'", "")
		spec := failing.spec
		if !strings.Contains(spec, "fetch:") {
			spec = "fetch: [{directory: {path: in}}]\n  " + spec
		}
		switch failing.config {
		case chart:
			write(folder+"/in/Chart.yaml", "{apiVersion: v2, name: x, version: 1.0.0}\n")
			write(folder+"/in/templates/x.yaml", chart)
		default:
			write(folder+"/in/objects.yml", failing.config)
		}
		write(folder+"/app.yaml", "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: failing, namespace: <NAMESPACE>}\nspec:\n  "+spec+"\n---\n"+
			"{apiVersion: v1, kind: Secret, metadata: {name: values}, stringData: {values.yml: \"inFile: <VALUES>\"}}\n---\n"+
			"{apiVersion: v1, kind: Secret, metadata: {name: source}, stringData: {username: user, password: <SOURCE>}}\n")
		app := folder + "/app.yaml"
		plain := []string{"GIT_SSL_NO_VERIFY=1", "STRAKE_REGISTRY_PLAIN_HTTP=" + host}
		r.does(failing.code, nil, plain, append([]string{"run", "-f", app, "--timeout", "2m"}, r.reports()...)...)
		r.does(failing.code, nil, plain, "run", "-f", app, "-o", "json", "--timeout", "2m")
	}

	// Clusters that are the wrong ones, and repeat what they were given.
	write("objects/a.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: <NAMESPACE>}}\n")
	for file, user := range map[string]string{
		"token.kubeconfig":    "{token: " + value("a kubeconfig's token") + "}",
		"password.kubeconfig": "{username: user, password: " + value("a kubeconfig's password") + "}",
	} {
		write(file, "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://<SECURE>', insecure-skip-tls-verify: true}}]\nusers: [{name: u, user: "+user+"}]\n")
		r.does(1, nil, nil, append([]string{"run", "--kubeconfig", file, "--timeout", "1m"}, r.reports()...)...)
		r.does(1, nil, nil, "apps", "--kubeconfig", file)
		r.does(1, nil, nil, "apply", "set", "-f", "objects", "--kubeconfig", file)
	}
	write("broken.kubeconfig", "apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: "+value("a broken kubeconfig")+", username: [}}]\n")
	write("mistyped.kubeconfig", "apiVersion: v1\nkind: Config\nusers: [{name: u, user: "+value("a broken kubeconfig")+"}]\n")
	for _, file := range []string{"broken.kubeconfig", "mistyped.kubeconfig"} {
		r.does(1, nil, nil, "apps", "--kubeconfig", file)
		r.does(1, nil, nil, "run", "--kubeconfig", file)
	}

	// Registries and keys, by the commands that have no App.
	password := []string{"STRAKE_KEY_PASSWORD=" + value("a key's password"), "STRAKE_REGISTRY_PLAIN_HTTP=" + host}
	r.does(0, nil, password, "artifact", "generate-key-pair")
	r.does(1, nil, []string{"STRAKE_KEY_PASSWORD=wrong"}, "artifact", "sign", "oci://"+r.repo+"-set:v1", "--key", "cosign.key")
	r.does(0, nil, password, "artifact", "sign", "oci://"+r.repo+"-set:v1", "--key", "cosign.key")
	r.does(1, nil, password, "artifact", "push", "oci://"+host+"/x/y:z", "-f", "objects")
	r.does(1, nil, password, "artifact", "list", "oci://"+host+"/x/y")
	r.does(1, nil, password, "artifact", "pull", "oci://user:"+value("a URL's password")+"@"+host+"/x/y:z")

	// What is left on disk.
	manifests := regexp.MustCompile(`/workspaces/[^/]+/steps/[^/]+/manifests\.yaml$`)
	r.files("cache", func(path string, info fs.FileInfo) []*sentinel {
		if manifests.MatchString(path) {
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has manifests, and mode %s", path, info.Mode())
			}
			return append(inObjects, made["a rendered Secret"])
		}
		// The failing Apps fetch the Secret as a file: it is a source.
		if strings.Contains(path, "/sources/") {
			return []*sentinel{made["a rendered Secret"]}
		}
		return nil
	})
	r.files("out", func(string, fs.FileInfo) []*sentinel { return nil })
	r.exhibits = append(r.exhibits, exhibit{"the lock", r.read("app.lock.yaml"), nil}, exhibit{"the saved plan", r.read("plan.json"), inObjects})
	for name, want := range map[string]fs.FileMode{"plan.json": 0o600, "cache/strake/workspaces": fs.ModeDir | 0o700, "cosign.key": 0o600} {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, want %s (%v)", name, info.Mode(), want, err)
		}
	}
	if left, err := os.ReadDir(r.temp); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
	for _, repo := range []string{r.repo, r.repo + "-config", r.repo + "-set"} {
		r.pushed(repo)
	}
	if now, err := os.ReadFile(os.Getenv("KUBECONFIG")); err != nil || string(now) != string(kubeconfig) {
		t.Errorf("the kubeconfig has changed: %v", err)
	}
	search(t, all, r.exhibits)
	t.Logf("%d texts of %d calls were searched for %d secrets", len(r.exhibits), r.calls, len(all))
}

// pushed adds all that a repository holds: manifests, configurations, and layers unpacked.
func (r *room) pushed(repo string) {
	r.t.Helper()
	tags := r.tagsOf(repo)
	if len(tags) == 0 {
		r.t.Errorf("%s: nothing was pushed", repo)
	}
	for _, tag := range tags {
		ref, err := name.ParseReference(repo + ":" + tag)
		if err != nil {
			r.t.Fatal(err)
		}
		got, err := remote.Get(ref)
		if err != nil {
			r.t.Fatal(err)
		}
		r.exhibits = append(r.exhibits, exhibit{ref.String(), string(got.Manifest), nil})
		if got.MediaType.IsIndex() {
			continue // what it lists has no layer with manifests
		}
		img, err := got.Image()
		if err != nil {
			r.t.Fatal(err)
		}
		config, err := img.RawConfigFile()
		if err != nil {
			r.t.Fatal(err)
		}
		r.exhibits = append(r.exhibits, exhibit{ref.String() + ", configuration", string(config), nil})
		layers, err := img.Layers()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, l := range layers {
			content, err := l.Uncompressed()
			if err != nil {
				r.t.Fatal(err)
			}
			text, err := io.ReadAll(content)
			if err := errors.Join(err, content.Close()); err != nil {
				r.t.Fatal(err)
			}
			r.exhibits = append(r.exhibits, exhibit{ref.String() + ", a layer", string(text), nil})
		}
	}
}
