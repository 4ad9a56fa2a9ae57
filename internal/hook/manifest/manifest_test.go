package manifest_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	yttcmd "carvel.dev/ytt/pkg/cmd/template"
	yttui "carvel.dev/ytt/pkg/cmd/ui"
	"carvel.dev/ytt/pkg/files"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/internal/hook/manifest"
)

var full = manifest.Options{
	Image: "registry.example.com/strake:v1", Namespace: "kapp-controller", Deployment: "kapp-controller", Tools: hook.Tools,
	Policy:    []byte("apiVersion: strake.dev/v1alpha1\nkind: HookPolicy\ndestinations: [registry.example.com/apps]\n"),
	TLSSecret: "buildkit-client", RegistrySecret: "push",
}

func stock(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/stock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func render(t *testing.T, format string, o manifest.Options) string {
	t.Helper()
	text, err := manifest.Render(format, o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

// patched is the Deployment after the strategic merge patch.
func patched(t *testing.T, patch string) appsv1.Deployment {
	t.Helper()
	from, err := yaml.YAMLToJSON(stock(t))
	if err != nil {
		t.Fatal(err)
	}
	with, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(from, with, appsv1.Deployment{})
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := json.Unmarshal(merged, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// sort brings what the API merges by name into one order.
func sorted() cmp.Option {
	return cmp.Transformer("sorted", func(d appsv1.Deployment) map[string]any {
		text, _ := json.Marshal(d)
		var v map[string]any
		_ = json.Unmarshal(text, &v)
		return byName(v).(map[string]any)
	})
}

func byName(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = byName(v[key])
		}
	case []any:
		named := map[string]any{}
		for _, item := range v {
			m, ok := item.(map[string]any)
			if !ok {
				return v
			}
			key, ok := m["mountPath"].(string)
			if !ok {
				key, _ = m["name"].(string)
			}
			named[key] = byName(m)
		}
		return named
	}
	return v
}

// applied runs ytt with the stock Deployment and an overlay.
func applied(t *testing.T, overlay string) []string {
	t.Helper()
	o := yttcmd.NewOptions()
	out := o.RunWithFiles(yttcmd.Input{Files: files.NewSortedFiles([]*files.File{
		files.MustNewFileFromSource(files.NewBytesSource("stock.yaml", stock(t))),
		files.MustNewFileFromSource(files.NewBytesSource("overlay.yaml", []byte(overlay))),
	})}, yttui.NewTTY(false))
	if out.Err != nil {
		t.Fatalf("%v\n%s", out.Err, overlay)
	}
	text, err := out.DocSet.AsBytes()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "---\n")
}

// All forms lead to one Deployment.
func TestForms(t *testing.T) {
	few := full
	few.Tools, few.TLSSecret, few.RegistrySecret = []string{"ytt", "kbld"}, "", ""
	none := full
	none.Policy, none.TLSSecret, none.RegistrySecret = nil, "", ""
	for name, o := range map[string]manifest.Options{"full": full, "few": few, "no builds": none} {
		t.Run(name, func(t *testing.T) {
			docs := []string{render(t, manifest.Strategic, o)}
			want := patched(t, docs[0])
			if len(o.Policy) > 0 {
				docs = []string{render(t, manifest.ConfigMap, o), docs[0]}
			}
			overlaid := applied(t, render(t, manifest.Ytt, o))
			if len(overlaid) != len(docs) {
				t.Fatalf("%d documents:\n%s", len(overlaid), strings.Join(overlaid, "---\n"))
			}
			for _, text := range overlaid {
				if strings.Contains(text, "kind: ConfigMap") {
					if diff := cmp.Diff(parse[map[string]any](t, docs[0]), parse[map[string]any](t, text)); diff != "" {
						t.Errorf("ConfigMap of the overlay (-want):\n%s", diff)
					}
					continue
				}
				if diff := cmp.Diff(want, parse[appsv1.Deployment](t, text), sorted()); diff != "" {
					t.Errorf("Deployment of the overlay (-want):\n%s", diff)
				}
			}
			component := parse[struct {
				APIVersion, Kind   string
				Patches            []struct{ Patch string }
				ConfigMapGenerator []struct {
					Name, Namespace string
					Literals        []string
				}
			}](t, render(t, manifest.Kustomize, o))
			if got := patched(t, component.Patches[0].Patch); !cmp.Equal(want, got) {
				t.Errorf("Deployment of the component:\n%s", cmp.Diff(want, got))
			}
			if (len(component.ConfigMapGenerator) == 1) != (o.Policy != nil) {
				t.Errorf("%+v", component)
			}
		})
	}
}

// What there was stays, and what is new is found first.
func TestDeployment(t *testing.T) {
	d := patched(t, render(t, manifest.Strategic, full))
	var before appsv1.Deployment
	if err := yaml.Unmarshal(stock(t), &before); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	if len(pod.Containers) != 2 || len(pod.InitContainers) != 1 || len(pod.Volumes) != len(before.Spec.Template.Spec.Volumes)+5 {
		t.Fatalf("%+v", pod)
	}
	for i, c := range pod.Containers {
		old := before.Spec.Template.Spec.Containers[i]
		if c.Name != old.Name || c.Image != old.Image || !cmp.Equal(c.Args, old.Args) || !cmp.Equal(c.SecurityContext, old.SecurityContext) {
			t.Errorf("%s was changed: %+v", old.Name, c)
		}
		env := map[string]string{}
		for _, e := range c.Env {
			env[e.Name] = e.Value
		}
		for _, e := range old.Env {
			if env[e.Name] != e.Value {
				t.Errorf("%s: %s is %q", c.Name, e.Name, env[e.Name])
			}
		}
		if env["PATH"] != "/strake/bin:/:/usr/local/bin:/usr/bin:/bin" {
			t.Errorf("%s: PATH is %q", c.Name, env["PATH"])
		}
		if builds := env[hook.PolicyVariable] != ""; builds != (c.Name == "kapp-controller-sidecarexec") {
			t.Errorf("%s: policy %q", c.Name, env[hook.PolicyVariable])
		}
	}
	init := pod.InitContainers[0]
	if s := init.SecurityContext; !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 {
		t.Errorf("%+v", s)
	}
	if got := strings.Join(init.Args, " "); got != "hook install --tools=vendir,ytt,kbld,kapp /install" {
		t.Errorf("arguments %s", got)
	}
}
