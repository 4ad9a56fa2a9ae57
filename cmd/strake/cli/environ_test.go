package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strake.dev/strake/cmd/strake/checked"
)

// variables are all of strake's own, with the flag that each equals and a value for it.
var variables = map[string]struct{ flag, value, want string }{
	"STRAKE_FILE":                  {"file", "x.yaml", "x.yaml"},
	"STRAKE_WORKSPACE":             {"workspace", "/w", "/w"},
	"STRAKE_LOCK_FILE":             {"lock-file", "l.yaml", "l.yaml"},
	"STRAKE_TARGETS":               {"target", "a,b", "[a,b]"},
	"STRAKE_APPS":                  {"app", "a,b", "[a,b]"},
	"STRAKE_WATCH":                 {"watch", "true", "true"},
	"STRAKE_WATCH_INTERVAL":        {"watch-interval", "1m", "1m0s"},
	"STRAKE_BUILD_CACHE":           {"build-cache", "r.io/cache", "r.io/cache"},
	"STRAKE_VALUES":                {"values", "a.yml,b.yml", "[a.yml,b.yml]"},
	"STRAKE_LOCKED":                {"locked", "true", "true"},
	"STRAKE_OUTPUT":                {"output", "json", "json"},
	"STRAKE_PROGRESS":              {"progress", "plain", "plain"},
	"STRAKE_REPORT":                {"report", "junit=a.xml", "junit=a.xml"},
	"STRAKE_TIMEOUT":               {"timeout", "5m", "5m0s"},
	"STRAKE_OBJECT_TIMEOUT":        {"object-timeout", "5m", "5m0s"},
	"STRAKE_MAX_PRUNE":             {"max-prune", "80", "80"},
	"STRAKE_ALLOW_EMPTY":           {"allow-empty", "true", "true"},
	"STRAKE_SIGN_KEY":              {"sign-key", "cosign.key", "cosign.key"},
	"STRAKE_VERIFY_KEY":            {"verify-key", "cosign.pub", "cosign.pub"},
	"STRAKE_SIGNATURE_POLICY":      {"policy", "policy.yaml", "policy.yaml"},
	"STRAKE_AGE_IDENTITIES":        {"age-identities", "key.txt", "key.txt"},
	"STRAKE_AGE_RECIPIENTS":        {"age-recipients", "keys.pub", "keys.pub"},
	"STRAKE_KUBECONFIG":            {"kubeconfig", "k", "k"},
	"STRAKE_CONTEXT":               {"context", "c", "c"},
	"STRAKE_LOCAL":                 {"local", "true", "true"},
	"STRAKE_REGISTRY_MIRRORS":      {"registry-mirror", "docker.io=a,quay.io=b", "[docker.io=a,quay.io=b]"},
	"STRAKE_REGISTRY_CA_CERT_PATH": {"registry-ca-cert-path", "a.pem,b.pem", "[a.pem,b.pem]"},
	"STRAKE_REGISTRY_PLAIN_HTTP":   {"registry-plain-http", "a:1,b", "[a:1,b]"},
	"STRAKE_CACHE_DIR":             {"cache-dir", "/c", "/c"},
	"STRAKE_CACHE_SIZE":            {"cache-size", "1Gi", "1Gi"},
	"STRAKE_BUILDKIT_ADDR":         {"buildkit-addr", "tcp://b:1", "tcp://b:1"},
	"STRAKE_BUILDKIT_TLS_DIR":      {"buildkit-tls-dir", "d", "d"},
	"STRAKE_ALLOW_PLUGINS":         {"allow-plugin", "a,./b", "[a,./b]"},
	"STRAKE_PLUGIN_SANDBOX":        {"plugin-sandbox", "required", "required"},
}

func commandsOf(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, c := range root.Commands() {
		all = append(all, commandsOf(c)...)
	}
	return all
}

// Every variable sets its flag on every command that has the flag, and the command line wins.
func TestEnvironment(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"run", "plan", "apply", "history", "rollback", "apps", "render", "build", "delete", "inspect", "validate", "plugins", "version", "artifact push", "artifact pull", "artifact verify"} {
		for variable, v := range variables {
			tool := &tool{out: &checked.Writer{}, getenv: func(n string) string {
				if n == variable {
					return v.value
				}
				return ""
			}}
			cmd := find(t, newRootCommand(tool), name)
			flag := cmd.Flags().Lookup(v.flag)
			if flag == nil || name == "artifact push" && v.flag == "app" || name == "validate" && v.flag == "file" || (name == "artifact pull" || name == "report") && v.flag == "output" {
				continue
			}
			seen[variable] = true
			if !strings.Contains(flag.Usage, "["+variable+"]") {
				t.Errorf("help of %s --%s does not name %s: %s", name, v.flag, variable, flag.Usage)
			}
			if err := tool.readEnv(cmd); err != nil || strings.Trim(flag.Value.String(), "[]") != strings.Trim(v.want, "[]") {
				t.Errorf("%s with %s: --%s is %q (%v), want %q", name, variable, v.flag, flag.Value, err, v.want)
			}
			cmd = find(t, newRootCommand(tool), name)
			flag = cmd.Flags().Lookup(v.flag)
			given := map[string]string{"locked": "false", "allow-empty": "false", "max-prune": "1", "object-timeout": "1s", "local": "false", "output": "text", "progress": "none", "report": "html=b.html", "timeout": "1s", "watch": "false", "watch-interval": "2s"}[v.flag]
			if err := cmd.Flags().Set(v.flag, given); err != nil {
				t.Fatal(err)
			}
			before := flag.Value.String()
			if err := tool.readEnv(cmd); err != nil || flag.Value.String() != before {
				t.Errorf("%s: %s wins over --%s (%v)", name, variable, v.flag, err)
			}
		}
	}
	if len(seen) != len(variables) {
		t.Errorf("variables without a flag: %v", variables)
	}
}

func find(t *testing.T, root *cobra.Command, name string) *cobra.Command {
	t.Helper()
	cmd, rest, err := root.Find(strings.Fields(name))
	if err != nil || len(rest) > 0 {
		t.Fatalf("no command %s", name)
	}
	return cmd
}

// Every command explains itself, and every variable that a flag names is in the table.
func TestHelpIsComplete(t *testing.T) {
	root := newRootCommand(&tool{out: &checked.Writer{}})
	for _, cmd := range commandsOf(root) {
		if cmd.Short == "" || cmd.Runnable() && !cmd.Hidden && cmd.Example == "" {
			t.Errorf("%s: expected a short text and an example", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for _, name := range f.Annotations[envAnnotation] {
				if variables[name].flag != f.Name && (!strings.HasSuffix(variables[name].flag, "-"+f.Name) || cmd.Parent().Name() != "artifact") {
					t.Errorf("%s --%s: unknown variable %s", cmd.CommandPath(), f.Name, name)
				}
			}
		})
	}
}
