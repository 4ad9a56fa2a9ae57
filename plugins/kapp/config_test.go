package kapp

import (
	"strings"
	"testing"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestBadConfig(t *testing.T) {
	plugin := Plugin(Deps{Cluster: kube.New(kube.Options{})})
	raw := func(option string) string { return "intoNs: a\nrawOptions:\n- --wait=true\n- " + option + "\n" }
	const at = "test.yaml:4:3: rawOptions[1]: "
	stagetest.RunBad(
		t, plugin,
		stagetest.BadConfig{Name: "near miss", Config: raw("--wait-timout=5m"), Want: at + "--wait-timout is not an option that may be given to kapp deploy here (did you mean --wait-timeout?)"},
		stagetest.BadConfig{Name: "forbidden", Config: raw("--kubeconfig=/etc/x"), Want: at + "--kubeconfig is not an option that may be given to kapp deploy here"},
		stagetest.BadConfig{Name: "file", Config: raw("--file=/etc/passwd"), Want: at + "--file is not an option"},
		stagetest.BadConfig{Name: "app", Config: raw("--app=other"), Want: at + "--app is not an option"},
		stagetest.BadConfig{Name: "filter by label", Config: raw("--filter-labels=a=b"), Want: at + "--filter-labels is not an option"},
		stagetest.BadConfig{Name: "short flag", Config: raw("-f=x"), Want: at + `"-f=x" is not an option of the form --name=value`},
		stagetest.BadConfig{Name: "without value", Config: raw("--wait"), Want: at + `"--wait" is not an option of the form --name=value`},
		stagetest.BadConfig{Name: "two in one", Config: raw(`"--wait --tty=true"`), Want: at + `"--wait --tty=true" is not an option of the form`},
		stagetest.BadConfig{Name: "duration", Config: raw("--wait-timeout=soon"), Want: at + `--wait-timeout: expected a duration such as 90s or 5m, found "soon"`},
		stagetest.BadConfig{Name: "boolean", Config: raw("--patch=perhaps"), Want: at + `--patch: expected true or false, found "perhaps"`},
		stagetest.BadConfig{Name: "no concurrency", Config: raw("--apply-concurrency=0"), Want: at + "--apply-concurrency: expected at least 1, found 0"},
		stagetest.BadConfig{Name: "negative time", Config: raw("--wait-check-interval=-1s"), Want: at + "--wait-check-interval: expected a duration that isn't negative"},
		stagetest.BadConfig{Name: "strategy", Config: raw("--apply-default-update-strategy=force"), Want: at + "--apply-default-update-strategy: expected one of fallback-on-replace, always-replace, skip"},
		stagetest.BadConfig{Name: "labels", Config: raw("--labels=a"), Want: at + "--labels: expected key=value"},
		stagetest.BadConfig{Name: "for another command", Config: "delete: {rawOptions: [--labels=a=b]}", Want: "test.yaml:1:23: delete.rawOptions[0]: --labels is not an option that may be given to kapp delete here"},
		stagetest.BadConfig{Name: "for inspect", Config: "inspect: {rawOptions: [--tre=true]}", Want: "test.yaml:1:24: inspect.rawOptions[0]: --tre is not an option that may be given to kapp inspect here (did you mean --tree?)"},
		stagetest.BadConfig{Name: "mapping", Config: "mapNs: [a]", Want: `test.yaml:1:9: mapNs[0]: "a" is not a mapping of namespaces (expected source=destination)`},
		stagetest.BadConfig{Name: "unknown field", Config: "intoNamespace: a", Want: "test.yaml:1:1: intoNamespace: unknown field"},
	)
	t.Run("all at once", func(t *testing.T) {
		_, err := plugin.New(stagetest.Node(t, "rawOptions: [--a=b, --wait=true, --wait=maybe]\ndelete: {rawOptions: [x]}"))
		if err == nil || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("expected three problems, found:\n%v", err)
		}
	})
}

// TestAllowed checks that each allowed option is one that kapp has, with a value that it takes.
func TestAllowed(t *testing.T) {
	values := map[string]string{
		"--filter": `{"resource":{"kinds":["Pod"]}}`, "--labels": "a=b", "--map-ns": "a=b", "--apply-default-update-strategy": "skip",
		"--preflight": "CRDUpgradeSafety",
	}
	for _, cmd := range []command{deployOptions, deleteOptions, inspectOptions} {
		for _, name := range cmd.allowed {
			value := values[name]
			for _, try := range []string{value, "true", "7", "7s", "text"} {
				if _, err := cmd.check(name + "=" + try); try != "" && err == nil {
					value = try
					break
				}
			}
			if _, err := cmd.check(name + "=" + value); err != nil {
				t.Errorf("kapp %s: %v", cmd.name, err)
			}
		}
	}
}

func TestConformance(t *testing.T) {
	p := newPlace(t)
	plugin := Plugin(p.deps)
	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: open-sesame-4711}\n"
	// What a deploy step tells of its first run is not what it tells of later ones.
	p.deploy("", configMap("one", "1")+secret)
	stagetest.Run(t, plugin, stagetest.Case{
		Name:      "objects",
		Config:    "rawOptions: [--wait-timeout=1m]",
		App:       p.app,
		Manifests: configMap("one", "1") + secret,
		Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"s": {"password": "open-sesame-4711"}}},
	}, stagetest.Case{
		Name:      "refused",
		App:       stages.App{Name: "refused", Namespace: p.namespace},
		Manifests: "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: nonsense}\n",
		WantError: "service/s (namespace " + p.namespace + ") can't be created: ",
	})
}
