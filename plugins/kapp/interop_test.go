package kapp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kappcmd "carvel.dev/kapp/pkg/kapp/cmd"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
)

// kapp runs the library's own command, as the kapp program would.
func (p *place) kapp(args ...string) string {
	p.t.Helper()
	var out bytes.Buffer
	quiet := ui.NewNoopLogger()
	conf := ui.NewWrappingConfUI(ui.NewWriterUI(&out, &out, quiet), quiet)
	cmd := kappcmd.NewDefaultKappCmd(conf)
	if p.kubeconfig != "" {
		args = append(args, "--kubeconfig", p.kubeconfig)
	}
	cmd.SetArgs(append(args, "--yes", "-n", p.namespace))
	err := cmd.Execute()
	conf.Flush()
	if err != nil {
		p.t.Fatalf("kapp %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// TestInterop lets the kapp program and the plugin take over an app from each other.
func TestInterop(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := filepath.Join(t.TempDir(), "app.yaml")
	write := func(manifests string) string {
		if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
			t.Fatal(err)
		}
		return manifests
	}
	unchanged := func(manifests string) {
		t.Helper()
		result, _, err := p.run("", manifests)
		if err != nil || result.Skipped == "" {
			t.Errorf("the plugin finds changes after kapp: %+v, %v", result, err)
		}
		if out := p.kapp("deploy", "-a", "app", "-f", file, "--diff-run"); !strings.Contains(out, "Op:      0 create, 0 delete, 0 update, 0 noop, 0 exists") {
			t.Errorf("kapp finds changes after the plugin:\n%s", out)
		}
	}

	first := write(configMap("one", "1") + configMap("two", "2") + deployment("web", image, sleep))
	p.deploy("", first)
	unchanged(first)
	label := p.configMap("one").Labels["kapp.k14s.io/app"]

	second := write(configMap("one", "by kapp") + deployment("web", image, sleep))
	p.kapp("deploy", "-a", "app", "-f", file)
	if p.configMap("two") != nil || p.configMap("one").Data["value"] != "by kapp" {
		t.Error("kapp didn't continue the plugin's app")
	}
	unchanged(second)

	third := write(configMap("one", "by the plugin") + configMap("three", "3"))
	events := p.deploy("", third)
	want := []string{"create ConfigMap three", "delete Deployment web", "update ConfigMap one"}
	if diff := cmp.Diff(want, made(events)); diff != "" {
		t.Errorf("changes of the plugin after kapp (-want +got):\n%s", diff)
	}
	unchanged(third)
	if got := p.configMap("three").Labels["kapp.k14s.io/app"]; got != label {
		t.Errorf("the app's label changed from %s to %s", label, got)
	}

	if out := p.kapp("inspect", "-a", "app"); !strings.Contains(out, "three") {
		t.Errorf("kapp inspect:\n%s", out)
	}
	p.kapp("delete", "-a", "app")
	if _, err := p.step("").(stages.Inspector).Inspect(t.Context(), p.job("")); err == nil {
		t.Error("the plugin still sees the app that kapp has deleted")
	}

	p.kapp("deploy", "-a", "app", "-f", file)
	unchanged(third)
	p.delete()
	if out := p.kapp("delete", "-a", "app"); !strings.Contains(out, "does not exist") {
		t.Errorf("kapp still sees the app that the plugin has deleted:\n%s", out)
	}
}
