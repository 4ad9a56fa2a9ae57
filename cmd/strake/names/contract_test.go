package names

import (
	"bufio"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// What kapp-controller calls, and how: with which arguments, environment, working directory, input and
// files. Its sidecar runs vendir, ytt and kbld, the controller runs kapp.

// vendir runs in the work folder. Secrets come before the Config, and the lock is wanted on standard output.
func TestContractVendir(t *testing.T) {
	t.Parallel()
	_, fill := vendirFolder(t)
	const managed = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\n  namespace: apps\n  uid: 0b7c\n  managedFields: [{manager: kubectl, operation: Update, apiVersion: v1}]\ntype: Opaque\ndata: {username: dXNlcg==, password: cGFzcw==}\n---\n"
	_, image, _ := strings.Cut(fill["image-digest.yml"], "url: ")
	image = strings.Trim(image, "}\n ")
	_, web, _ := strings.Cut(fill["http.yml"], "url: ")
	web = strings.Trim(web, "}\n ")
	for name, test := range map[string]struct {
		stdin string
		code  int
		files []string
	}{
		"one inline":    {vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., inline: {paths: {config/a.yml: \"a: 1\", src/main.go: package main}}}]}\n", 0, []string{"0/config/a.yml", "0/src/main.go"}},
		"two":           {vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., inline: {paths: {a.yml: \"a: 1\"}}}]}\n- {path: src, contents: [{path: ., inline: {paths: {b.yml: \"b: 1\"}}}]}\n", 0, []string{"0/a.yml", "src/b.yml"}},
		"secret":        {managed + vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., http: {url: " + strings.Replace(web, "file", "private", 1) + ", secretRef: {name: login}}}]}\n", 0, []string{"0/private.txt"}},
		"inline secret": {managed + vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., inline: {pathsFrom: [{secretRef: {name: login, directoryPath: values}}]}}]}\n", 0, []string{"0/values/username"}},
		"cached image":  {vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., image: {url: " + image + "}}]}\n", 0, nil},
		"sub path":      {vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., inline: {paths: {a/b.yml: \"b: 1\"}}, newRootPath: a}]}\n", 0, []string{"0/b.yml"}},
		"no secret":     {vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., http: {url: " + web + ", secretRef: {name: gone}}}]}\n", 1, nil},
		"gone":          {vendirHead + "directories:\n- {path: \"0\", contents: [{path: ., http: {url: " + web + "/gone}}]}\n", 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			work := workFolder(t, nil)
			want, got := both(t, "vendir", call{args: []string{"sync", "-f", "-", "--lock-file", "/dev/null"}, dir: work, stdin: test.stdin, env: []string{"VENDIR_CACHE_DIR=" + work + "/.cache"}})
			for name := range got.Files {
				if strings.HasPrefix(name, ".cache/") && !strings.HasPrefix(name, ".cache/strake") || strings.Contains(name, "/tree-") {
					t.Errorf("%s: kapp-controller's folders are used once, and what is known of them is of no use", name)
				}
			}
			cached := got.Files[".cache/strake/blobs"]
			alike(&want)
			alike(&got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-vendir +ours):\n%s", diff)
			}
			if got.Code != test.code || test.code == 0 && (!strings.Contains(got.Stdout, "kind: LockConfig\n") || got.Stderr != "") || test.code != 0 && got.Stderr == "" {
				t.Errorf("%+v", got)
			}
			if name == "cached image" && cached == "" {
				t.Error("the image isn't cached")
			}
			for _, name := range test.files {
				if _, ok := got.Files[name]; !ok {
					t.Errorf("%s is missing: %v", name, got.Files)
				}
			}
		})
	}
}

// ytt runs in / with absolute paths. Inline files and values are in folders of their own.
func TestContractYtt(t *testing.T) {
	t.Parallel()
	work := workFolder(t, map[string]string{
		"0/config/a.yml":            loadData + "# a comment\nname: #@ data.values.name\nnumber: #@ data.values.number\n",
		"0/config/s.yml":            "#@data/values-schema\n---\nname: \"\"\nnumber: 0\n",
		"0/config/n.txt":            "no template",
		"inline/b.yml":              "inline: true\n",
		"values/name":               "name: from a secret\n",
		"values/downwardapi_0.yaml": "number: 3\n",
	})
	plain := []string{"-f", work + "/0/config", "-f", work + "/inline", "--file-mark", "n.txt:exclude=true", "--data-values-file", work + "/values/name", "--data-values-file", work + "/values/downwardapi_0.yaml"}
	for name, c := range map[string]call{
		"paths":        {args: append([]string{"--ignore-unknown-comments"}, plain...)},
		"comment":      {args: plain},
		"App's folder": {args: []string{"--ignore-unknown-comments", "-f", work + "/0"}},
		"stream":       {args: []string{"-f", "-"}, stdin: "a: 1\n---\nb: 2\n"},
		"stream, more": {args: []string{"-f", "-", "-f", work + "/inline"}, stdin: "a: 1\n"},
		"nothing":      {args: []string{"-f", "-"}},
		"gone":         {args: []string{"-f", work + "/0/nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.dir, c.cwd = work, "/"
			want, got := both(t, "ytt", c)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-ytt +ours):\n%s", diff)
			}
			if fails := name == "comment" || name == "gone"; got.Code == 0 == fails || fails && got.Stderr == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// kbld runs in / and may not build: it says so in its own words, on whose first line users rely.
func TestContractKbld(t *testing.T) {
	t.Parallel()
	_, fill := vendirFolder(t)
	_, image, _ := strings.Cut(fill["image.yml"], "url: '")
	image, _, _ = strings.Cut(image, "'")
	const head = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
	work := workFolder(t, map[string]string{"0/config.yml": head + "overrides: [{image: app, newImage: '" + image + "'}]\n", "0/a.yml": "kind: Pod\nspec: {containers: [{image: app}]}\n"})
	for name, c := range map[string]call{
		"stream":        {args: []string{"-f", "-"}, stdin: "kind: Pod\nspec: {containers: [{image: '" + image + "'}]}\n"},
		"paths":         {args: []string{"-f", work + "/0"}},
		"stream, paths": {args: []string{"-f", "-", "-f", work + "/0/config.yml"}, stdin: "kind: Pod\nspec: {containers: [{image: app}]}\n"},
		"unused source": {args: []string{"-f", "-"}, stdin: head + "sources: [{image: other, path: src}]\n---\nkind: Pod\nspec: {containers: [{image: '" + image + "'}]}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c.dir, c.cwd, c.args = work, "/", append(c.args, "--build=false")
			want, got := both(t, "kbld", c)
			if diff := cmp.Diff(want, got); diff != "" || got.Code != 0 {
				t.Errorf("code %d, differs (-kbld +ours):\n%s", got.Code, diff)
			}
		})
	}
	want, got := both(t, "kbld", call{args: []string{"-f", "-", "--build=false"}, dir: work, cwd: "/", stdin: head + "sources: [{image: app, path: src}]\n---\nkind: Pod\nspec: {containers: [{image: app}]}\n"})
	const refusal = "Building of images is disallowed (tried to build 'app' because a source was configured for it)"
	if !strings.Contains(want.Stderr, refusal) || !strings.Contains(got.Stderr, refusal) || got.Code != 1 || got.Stdout != want.Stdout {
		t.Errorf("kbld: %+v\nours: %+v", want, got)
	}
}

// kapp gets its kubeconfig in a variable, which has a placeholder for the address of the API server.
func TestContractKapp(t *testing.T) {
	t.Parallel()
	client, path := cluster(t)
	host, port, config := inCluster(t, path)
	placeholder := []string{"KAPP_KUBECONFIG_YAML=" + config, "KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port}
	flags := func(ns string, args ...string) []string {
		return append(args, "--app", "demo.app", "--app-namespace", ns, "--kubeconfig=/dev/null", "--yes")
	}
	sides := []string{"real/kapp", "ours/kapp"}
	spaces := []string{namespace(t, client), namespace(t, client)}
	for _, step := range []struct {
		name, content string
		args          []string
	}{
		{"the name before", "v1", []string{"deploy", "--app", "demo-ctrl", "-f", "-", "--kubeconfig=/dev/null", "--yes", "--app-namespace"}},
		{"deploy", "v1", []string{"deploy", "--app-metadata-file-output", "app-metadata.yml", "--prev-app", "demo-ctrl", "-f", "-", "--app-changes-max-to-keep=5", "--apply-timeout=5m", "--diff-changes=true", "--app-changes-max-to-keep=2"}},
		{"deploy again", "v2", []string{"deploy", "--app-metadata-file-output", "app-metadata.yml", "--prev-app", "demo-ctrl", "-f", "-", "--app-changes-max-to-keep=5", "--apply-timeout=5m"}},
		{"inspect", "", []string{"inspect", "--filter", `{"not":{"resource":{"kinds":["PodMetrics"]}}}`, "--tty"}},
		{"delete", "", []string{"delete", "--prev-app", "demo-ctrl"}},
		{"delete again", "", []string{"delete", "--prev-app", "demo-ctrl"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			var results []result
			for i, side := range sides {
				c := call{args: flags(spaces[i], step.args...), dir: t.TempDir(), cwd: "/", env: placeholder}
				if step.name == "the name before" {
					c.args = append(step.args, spaces[i])
				}
				for j, arg := range c.args {
					if arg == "app-metadata.yml" {
						c.args[j] = filepath.Join(c.dir, arg)
					}
				}
				if step.content != "" {
					c.stdin = strings.ReplaceAll(strings.ReplaceAll(app, "CONTENT", step.content), "metadata: {name", "metadata: {namespace: "+spaces[i]+", name")
				}
				r := run(t, c, program(t, side))
				if step.content != "" && step.name != "the name before" {
					metadata(t, r.Files["app-metadata.yml"], spaces[i])
				}
				r.Files = nil
				r.Stdout, r.Stderr = settled(r.Stdout, spaces[i]), settled(r.Stderr, spaces[i])
				results = append(results, r)
			}
			if diff := cmp.Diff(results[0], results[1]); diff != "" || results[1].Code != 0 {
				t.Errorf("code %d, differs (-kapp +ours):\n%s", results[1].Code, diff)
			}
		})
	}
	t.Run("IPv6", func(t *testing.T) {
		want, got := both(t, "kapp", call{args: flags(spaces[0], "inspect"), dir: t.TempDir(), cwd: "/", env: append(placeholder, "KUBERNETES_SERVICE_HOST=::1", "KUBERNETES_SERVICE_PORT=1")})
		if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(got.Stderr, "https://[::1]:1/") {
			t.Errorf("%s\ndiffers (-kapp +ours):\n%s", got.Stderr, diff)
		}
	})
	t.Run("killed while it waits", func(t *testing.T) {
		ns := namespace(t, client)
		c := call{args: flags(ns, "deploy", "--prev-app", "demo-ctrl", "-f", "-"), dir: "/", env: placeholder}
		c.stdin = strings.ReplaceAll(strings.ReplaceAll(app, "CONTENT", "v1"), "metadata: {name", "metadata: {namespace: "+ns+", name")
		c.stdin = strings.Replace(c.stdin, "replicas: 0", "replicas: 1", 1) // of an image that isn't there
		cmd := command(t.Context(), c, program(t, "ours/kapp"))
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		var seen []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text := lines.Text(); strings.Contains(text, " ---- ") {
				seen = append(seen, text)
				if strings.Contains(text, " ---- waiting on ") {
					break
				}
			}
		}
		check(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if len(seen) < 2 || !strings.Contains(seen[0], " ---- applying ") {
			t.Errorf("what was said while it ran: %q", seen)
		}
		if r := run(t, call{args: flags(ns, "delete", "--prev-app", "demo-ctrl"), dir: t.TempDir(), env: placeholder}, program(t, "ours/kapp")); r.Code != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// metadata checks what kapp-controller takes from the file that it has kapp write.
func metadata(t *testing.T, text, namespace string) {
	t.Helper()
	_, content, _ := strings.Cut(text, "\n") // the mode
	var m struct {
		LabelKey   string `json:"labelKey"`
		LabelValue string `json:"labelValue"`
		LastChange struct {
			Namespaces []string `json:"namespaces"`
		} `json:"lastChange"`
		UsedGKs []struct{ Group, Kind string } `json:"usedGKs"`
	}
	if err := json.Unmarshal([]byte(content), &m); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if m.LabelKey != "kapp.k14s.io/app" || m.LabelValue == "" || !cmp.Equal(m.LastChange.Namespaces, []string{namespace}) || len(m.UsedGKs) != 5 {
		t.Errorf("%+v", m)
	}
}

// inCluster returns a kubeconfig as the controller makes it, and the address that belongs there.
func inCluster(t *testing.T, path string) (host, port, config string) {
	t.Helper()
	c, err := clientcmd.LoadFromFile(path)
	check(t, err)
	check(t, api.MinifyConfig(c))
	check(t, api.FlattenConfig(c))
	for _, cluster := range c.Clusters {
		server, err := url.Parse(cluster.Server)
		check(t, err)
		host, port, err = net.SplitHostPort(server.Host)
		check(t, err)
		cluster.Server = "https://${KAPP_KUBERNETES_SERVICE_HOST_PORT}"
	}
	text, err := clientcmd.Write(*c)
	check(t, err)
	return host, port, string(text)
}

// workFolder makes a work folder with files, in the layout of kapp-controller.
func workFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(folder(t, nil), "kapp-controller-fetch-template-deploy123")
	check(t, os.Mkdir(dir, 0o700))
	for name, text := range files {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o700))
		check(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}
