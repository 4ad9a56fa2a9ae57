package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"strake.dev/strake/internal/peers"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages/stagetest"
)

// Each file of testdata/same is a step: its configuration, then the App's folder. The file @stdin
// holds the manifests so far, and @set what --set is given, a line each.
func TestSameAsHelm(t *testing.T) {
	names, err := filepath.Glob("testdata/same/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("expected at least 20 cases, found %d (%v)", len(names), err)
	}
	// Here the message is strake's own: it names the App's files instead of the machine's.
	ownMessage := []string{"bad-values", "missing-dependency", "no-chart"}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".txtar")
		t.Run(base, func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c := stagetest.Case{Config: string(archive.Comment), Files: map[string]string{}, Values: map[string]string{}}
			for _, f := range archive.Files {
				switch f.Name {
				case "@stdin":
					c.Manifests = string(f.Data)
				case "@set":
					for line := range strings.Lines(string(f.Data)) {
						key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
						c.Values[key] = value
					}
				default:
					c.Files[f.Name] = string(f.Data)
				}
			}
			checkSame(t, c, slices.Contains(ownMessage, base))
		})
	}
}

// checkSame compares the step with helm's command.
func checkSame(t *testing.T, c stagetest.Case, ownMessage bool) {
	t.Helper()
	job := stagetest.NewJob(t, c)
	result, err := stagetest.Bind(t, Plugin(), c.Config).Run(t.Context(), job)
	var config Config
	if err := schema.Decode(stagetest.Node(t, c.Config), &config); err != nil {
		t.Fatal(err)
	}
	dir := job.Sources.Dir()
	home := t.TempDir()
	env := []string{"HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "none"), "KUBERNETES_SERVICE_HOST=not-real"}
	want, wantErr := peers.Run(t, home, c.Manifests, env, peers.Tool(t, "helm"), commandLine(&config, dir, c.Values)...)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("helm: %v\nstrake: %v", wantErr, err)
	}
	if err == nil {
		if diff := cmp.Diff(want, string(result.Manifests)); diff != "" {
			t.Errorf("output differs (-helm +strake):\n%s", diff)
		}
		return
	}
	if strings.Contains(err.Error(), dir) {
		t.Errorf("message names the folder of the workspace: %v", err)
	}
	if ownMessage {
		return
	}
	said := strings.TrimSpace(strings.TrimPrefix(lastError(wantErr.Error()), "Error: "))
	said = strings.TrimSpace(strings.TrimSuffix(said, "Use --debug flag to render out invalid YAML"))
	if diff := cmp.Diff(said, strings.TrimSpace(err.Error())); diff != "" {
		t.Errorf("message differs (-helm +strake):\n%s", diff)
	}
}

// lastError leaves out what helm logs before its error.
func lastError(text string) string {
	if i := strings.LastIndex(text, "Error: "); i >= 0 {
		return text[i:]
	}
	return text
}

// commandLine says how kapp-controller would call helm, with the App's folder at dir.
func commandLine(c *Config, dir string, set map[string]string) []string {
	name, namespace := c.Name, c.Namespace
	if name == "" {
		name = "app"
	}
	if namespace == "" {
		namespace = "default"
	}
	args := []string{"template", name, filepath.Join(dir, c.Path), "--namespace", namespace, "--include-crds"}
	if c.KubernetesVersion != nil {
		args = append(args, "--kube-version", c.KubernetesVersion.Version)
	}
	if c.KubernetesAPIs != nil {
		args = append(args, "--api-versions", strings.Join(c.KubernetesAPIs.GroupVersions, ","))
	}
	for _, v := range c.ValuesFrom {
		if v.Path == "-" {
			args = append(args, "--values", "-")
		} else {
			args = append(args, "--values", filepath.Join(dir, v.Path))
		}
	}
	for key, value := range set {
		args = append(args, "--set-json", key+"="+value)
	}
	return args
}

// pack makes an archive of a chart, as helm package does.
func pack(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	out := tar.NewWriter(zipped)
	for name, content := range files {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestArchivesAreSameAsHelm(t *testing.T) {
	db := pack(t, map[string]string{
		"db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n", "db/templates/a.yaml": "a: {{ .Values.port }}\n",
		"db/values.yaml": "port: 1\n",
	})
	const parent = "apiVersion: v2\nname: demo\nversion: 1.2.3\ndependencies: [{name: db, version: 1.0.0}]\n"
	t.Run("dependency", func(t *testing.T) {
		checkSame(t, stagetest.Case{Config: "path: chart", Files: map[string]string{
			"chart/Chart.yaml": parent, "chart/charts/db-1.0.0.tgz": db, "chart/values.yaml": "db: {port: 2}\n",
		}}, false)
	})
	t.Run("chart", func(t *testing.T) {
		checkSame(t, stagetest.Case{Config: "path: db-1.0.0.tgz", Files: map[string]string{"db-1.0.0.tgz": db}}, false)
	})
	t.Run("broken", func(t *testing.T) {
		checkSame(t, stagetest.Case{Config: "path: db.tgz", Files: map[string]string{"db.tgz": "no archive"}}, true)
	})
}

func TestLinksOfAChart(t *testing.T) {
	files := map[string]string{"chart/Chart.yaml": "apiVersion: v2\nname: demo\nversion: 1.2.3\n", "shared/a.yaml": "a: shared\n"}
	for to, want := range map[string]string{"../shared": "", "/etc": "leads out of", "..": "too many levels of symbolic links"} {
		job := stagetest.NewJob(t, stagetest.Case{Files: files})
		if err := job.Sources.Root().Symlink(to, "chart/templates"); err != nil {
			t.Fatal(err)
		}
		result, err := stagetest.Bind(t, Plugin(), "path: chart").Run(t.Context(), job)
		if want == "" {
			if err != nil || !strings.Contains(string(result.Manifests), "a: shared") {
				t.Errorf("link to %s: expected its file, found %q, %v", to, result.Manifests, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("link to %s: expected an error with %q, found %v", to, want, err)
		}
	}
}

// The version is part of each step's key, so it has to be that of the library.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "helm.sh/helm/v4 "+version+"\n") {
		t.Errorf("go.mod doesn't have helm %s", version)
	}
}
