package kapp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/kube"
)

// A scenario is a series of deploys, after which the plugin has to have left the same in the cluster as
// kapp's own command.
type scenario struct {
	options []string
	// before is made in the cluster by somebody else.
	before string
	steps  []string
}

func annotated(manifest, name string, annotations ...string) string {
	return strings.Replace(manifest, "name: "+name+"}", "name: "+name+", annotations: {"+strings.Join(annotations, ", ")+"}}", 1)
}

// idle is a Deployment without pods.
func idle(name, image string) string {
	return fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: %[1]s}}\n  template:\n    metadata: {labels: {app: %[1]s}}\n    spec:\n      containers: [{name: main, image: %[2]q, envFrom: [{configMapRef: {name: settings}}]}]\n", name, image)
}

func job(image string, annotations ...string) string {
	return annotated(fmt.Sprintf("---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: main, image: %q}]}}}\n", image), "job", append(annotations, `kapp.k14s.io/disable-wait: ""`)...)
}

const settingsKey = "kapp.k14s.io/"

func scenarios() map[string]scenario {
	versioned := func(value string, more ...string) string {
		return annotated(configMap("settings", value), "settings", append(more, settingsKey+`versioned: ""`)...)
	}
	config := "---\napiVersion: kapp.k14s.io/v1alpha1\nkind: Config\n"
	return map[string]scenario{
		"mixed": {steps: []string{mixed(30), strings.Replace(mixed(30), "retries=3", "retries=4", 1), mixed(20)}},
		"versioned": {steps: []string{
			versioned("1", settingsKey+`num-versions: "2"`) + idle("web", "a:1"),
			versioned("2", settingsKey+`num-versions: "2"`) + idle("web", "a:1"),
			versioned("2", settingsKey+`num-versions: "2"`) + idle("web", "a:2"),
			versioned("3", settingsKey+`num-versions: "2"`) + idle("web", "a:2"),
			idle("web", "a:2"),
		}},
		"versioned with the original": {steps: []string{
			versioned("1", settingsKey+`versioned-keep-original: ""`) + idle("web", "a:1"),
			versioned("2", settingsKey+`versioned-keep-original: ""`) + idle("web", "a:1"),
		}},
		"explicit references to versions": {steps: []string{
			versioned("1") + annotated(configMap("user", "settings"), "user", settingsKey+`versioned-explicit-ref: "{apiVersion: v1, kind: ConfigMap, name: settings}"`),
			versioned("2") + annotated(configMap("user", "settings"), "user", settingsKey+`versioned-explicit-ref: "{apiVersion: v1, kind: ConfigMap, name: settings}"`),
		}},
		"replaced when immutable": {steps: []string{
			job("a:1", settingsKey+"update-strategy: fallback-on-replace"), job("a:2", settingsKey+"update-strategy: fallback-on-replace"),
		}},
		"always replaced": {steps: []string{
			annotated(configMap("c", "1"), "c", settingsKey+"update-strategy: always-replace"),
			annotated(configMap("c", "2"), "c", settingsKey+"update-strategy: always-replace"),
		}},
		"never updated": {steps: []string{
			annotated(configMap("c", "1"), "c", settingsKey+"update-strategy: skip"), annotated(configMap("c", "2"), "c", settingsKey+"update-strategy: skip"),
		}},
		"default strategy": {
			options: []string{"--apply-default-update-strategy=fallback-on-replace"},
			steps:   []string{job("a:1"), job("a:2")},
		},
		"adopted": {
			before: configMap("c", "by others"),
			steps:  []string{configMap("c", "1") + configMap("d", "1")},
		},
		"adopted while being created": {
			options: []string{"--existing-non-labeled-resources-check=false"},
			before:  configMap("c", "by others"),
			steps:   []string{annotated(configMap("c", "1"), "c", settingsKey+"create-strategy: fallback-on-update")},
		},
		"orphaned": {steps: []string{
			annotated(configMap("c", "1"), "c", settingsKey+"delete-strategy: orphan") + configMap("d", "1"), configMap("d", "1"),
		}},
		"of others": {
			before: configMap("c", "by others") + configMap("free", "by others"),
			steps: []string{annotated(configMap("c", "1"), "c", settingsKey+`exists: ""`) +
				annotated(configMap("free", "1"), "free", settingsKey+`noop: ""`) + configMap("d", "1")},
		},
		"rules": {steps: []string{
			config + "additionalLabels: {team: a}\nrebaseRules:\n- path: [data, kept]\n  type: copy\n  sources: [existing, new]\n  resourceMatchers: [{apiVersionKindMatcher: {apiVersion: v1, kind: ConfigMap}}]\n" +
				"ownershipLabelRules:\n- path: [spec, podSelector, matchLabels]\n  resourceMatchers: [{apiVersionKindMatcher: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy}}]\n" +
				"changeGroupBindings:\n- name: example.com/first\n  resourceMatchers: [{kindNamespaceNameMatcher: {kind: ConfigMap, namespace: NS, name: c}}]\n" +
				"changeRuleBindings:\n- rules: [\"upsert after upserting example.com/first\"]\n  resourceMatchers: [{apiVersionKindMatcher: {apiVersion: v1, kind: Secret}}]\n" +
				configMap("c", "1") + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n" +
				"---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np}\nspec: {podSelector: {matchLabels: {a: b}}, policyTypes: [Ingress]}\n",
			config + "additionalLabels: {team: b}\n" + configMap("c", "2"),
		}},
		"rules in a ConfigMap": {steps: []string{
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: rules, labels: {kapp.k14s.io/config: \"\"}}\ndata:\n  config.yml: |\n    apiVersion: kapp.k14s.io/v1alpha1\n    kind: Config\n    additionalLabels: {team: a}\n" + configMap("c", "1"),
		}},
		"order": {steps: []string{
			annotated(configMap("c", "1"), "c", settingsKey+"change-rule: \"upsert after upserting example.com/g\"") + annotated(configMap("d", "1"), "d", settingsKey+"change-group: example.com/g"),
		}},
		"without the original": {steps: []string{
			annotated(configMap("c", "1"), "c", settingsKey+`disable-original: ""`) + configMap("large", strings.Repeat("x", 270000)),
			annotated(configMap("c", "2"), "c", settingsKey+`disable-original: ""`) + configMap("large", strings.Repeat("y", 270000)),
		}},
		"without labels in selectors": {options: nil, steps: []string{annotated(idle("web", "a:1"), "web", settingsKey+`disable-default-label-scoping-rules: ""`)}},
		"labels of the app":           {options: []string{"--labels=team=a", "--app-changes-max-to-keep=2"}, steps: []string{configMap("c", "1"), configMap("c", "2"), configMap("c", "3")}},
		"no records of changes":       {options: []string{"--app-changes-max-to-keep=0"}, steps: []string{configMap("c", "1"), configMap("c", "2")}},
		"patch":                       {options: []string{"--patch=true"}, steps: []string{configMap("c", "1") + configMap("d", "1"), configMap("c", "2")}},
		"emptied":                     {options: []string{"--dangerous-allow-empty-list-of-resources=true"}, steps: []string{configMap("c", "1"), ""}},
		"filtered":                    {options: []string{"--filter-kind=ConfigMap"}, steps: []string{configMap("c", "1") + idle("web", "a:1"), configMap("d", "1")}},
		"lists":                       {steps: []string{"---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: d, annotations: {}}, data: {a: b}}\n"}},
		"not against what was applied": {options: []string{"--diff-against-last-applied=false"}, steps: []string{
			configMap("c", "1") + idle("web", "a:1"), configMap("c", "2") + idle("web", "a:2"),
		}},
	}
}

// TestSameAsKapp compares what the plugin and kapp's own command leave in the cluster after the same deploys,
// to the last annotation.
func TestSameAsKapp(t *testing.T) {
	t.Parallel()
	for name, sc := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := newPlace(t), newPlace(t)
			for _, p := range []*place{ours, theirs} {
				p.make(sc.before)
			}
			file := filepath.Join(t.TempDir(), "app.yaml")
			options, err := json.Marshal(sc.options)
			if err != nil {
				t.Fatal(err)
			}
			for i, manifests := range sc.steps {
				if err := os.WriteFile(file, []byte(strings.ReplaceAll(manifests, "namespace: NS", "namespace: "+theirs.namespace)), 0o600); err != nil {
					t.Fatal(err)
				}
				theirs.kapp(append([]string{"deploy", "-a", "app", "-f", file, "--wait-check-interval=200ms"}, sc.options...)...)
				ours.deploy(fmt.Sprintf("rawOptions: %s", options), strings.ReplaceAll(manifests, "namespace: NS", "namespace: "+ours.namespace))
				if diff := gocmp.Diff(theirs.state(), ours.state()); diff != "" {
					t.Fatalf("after step %d (-kapp +strake):\n%s", i+1, diff)
				}
			}
			theirs.kapp("delete", "-a", "app", "--wait-check-interval=200ms")
			ours.delete()
			if diff := gocmp.Diff(theirs.state(), ours.state()); diff != "" {
				t.Fatalf("after the delete (-kapp +strake):\n%s", diff)
			}
		})
	}
}

func (p *place) dynamic() dynamic.Interface {
	p.t.Helper()
	config, err := kube.New(kube.Options{}).Config(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		p.t.Fatal(err)
	}
	return client
}

// make makes ConfigMaps as somebody else.
func (p *place) make(manifests string) {
	p.t.Helper()
	d, err := parse([]byte(manifests))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range d.resources {
		u := &unstructured.Unstructured{Object: r.DeepCopyRaw()}
		_, err := p.dynamic().Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(p.namespace).Create(p.t.Context(), u, metav1.CreateOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

var (
	association = regexp.MustCompile(`v1\.[0-9a-f]{32}`)
	drawn       = regexp.MustCompile(`app-change-[a-z0-9]{5}`)
	moments     = regexp.MustCompile(`"?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"?`)
	jobUID      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	md5s        = regexp.MustCompile(`[0-9a-f]{32}`)
)

// state is everything that was left in the namespace, without what is drawn anew each time.
func (p *place) state() map[string]string {
	p.t.Helper()
	state := map[string]string{}
	if m := p.configMap("app"); m != nil {
		if meta, err := ctlapp.NewAppMetaFromData(m.Data); err == nil {
			p.label = meta.LabelValue
		}
	}
	for _, gvr := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "services"},
		{Version: "v1", Resource: "serviceaccounts"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "batch", Version: "v1", Resource: "jobs"},
		{Group: "batch", Version: "v1", Resource: "cronjobs"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	} {
		list, err := p.dynamic().Resource(gvr).Namespace(p.namespace).List(p.t.Context(), metav1.ListOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
		for i := range list.Items {
			u := &list.Items[i]
			if u.GetName() == "kube-root-ca.crt" || u.GetName() == "default" || strings.HasPrefix(u.GetName(), "app.strake.v") {
				continue
			}
			for _, key := range []string{"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"} {
				delete(u.Object["metadata"].(map[string]any), key)
			}
			delete(u.Object, "status")
			if spec, ok := u.Object["spec"].(map[string]any); ok && gvr.Resource == "services" {
				delete(spec, "clusterIP")
				delete(spec, "clusterIPs")
			}
			if data, ok := u.Object["data"].(map[string]any); ok {
				delete(data, noteKey)
				delete(data, proofKey)
			}
			text, err := yaml.Marshal(u.Object)
			if err != nil {
				p.t.Fatal(err)
			}
			s := strings.ReplaceAll(strings.ReplaceAll(string(text), p.namespace, "NS"), cmp.Or(p.label, "no label"), "LABEL")
			s = moments.ReplaceAllString(drawn.ReplaceAllString(association.ReplaceAllString(s, "ASSOCIATION"), "CHANGE"), "TIME")
			name := drawn.ReplaceAllString(u.GetName(), "CHANGE")
			if gvr.Resource == "services" || gvr.Resource == "jobs" {
				// Their differences hold what the cluster draws.
				s = md5s.ReplaceAllString(jobUID.ReplaceAllString(s, "UID"), "MD5")
			}
			key := gvr.Resource + "/" + name
			all := append(strings.Split(strings.TrimSuffix(state[key], "\n===\n"), "\n===\n"), s)
			all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
			slices.Sort(all)
			state[key] = strings.Join(all, "\n===\n")
		}
	}
	return state
}
