package cli

import (
	"os"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/internal/hook/manifest"
)

// A hookManifest is what the command is told by flags.
type hookManifest struct {
	manifest.Options
	format       enum
	policy       string
	addresses    []string
	destinations []string
}

func newHookManifestCommand(t *tool) *cobra.Command {
	var o hookManifest
	cmd := &cobra.Command{
		Use:   "manifest [flags]",
		Short: "Print what to change of a kapp-controller's Deployment",
		Long: `Print what to change of a stock kapp-controller's Deployment so that it calls
strake: a container that installs it, PATHs that find it before the tools of the
image, and, with --destination or --policy, a policy that allows builds. The
forms are an overlay of ytt, a Component of kustomize, and for “kubectl patch” a
strategic merge patch, which needs the ConfigMap with the policy beside it.

The image needs nothing but strake as its entry point, elsewhere than at /strake,
and a user that isn't root.`,
		Example: `  strake hook manifest --image registry.example.com/strake:v1 \
    --buildkit-addr tcp://buildkitd.buildkit:1234 --buildkit-tls-secret buildkit-client \
    --destination registry.example.com/apps --registry-secret push > overlay.yaml
  strake hook manifest --image registry.example.com/strake:v1 --policy policy.yaml --format configmap |
    kubectl apply -f -
  strake hook manifest --image registry.example.com/strake:v1 --policy policy.yaml --format strategic > patch.yaml
  kubectl patch deployment kapp-controller -n kapp-controller --patch-file patch.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.hookManifest(cmd, &o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Image, "image", "", "`IMAGE` of strake (required)")
	flags.StringVarP(&o.Namespace, "namespace", "n", "kapp-controller", "`NAMESPACE` of kapp-controller")
	flags.StringVar(&o.Deployment, "deployment", "kapp-controller", "`NAME` of its Deployment")
	flags.StringArrayVar(&o.destinations, "destination", nil, "`REPOSITORY` that builds may push to, with all below it (repeatable)")
	flags.StringArrayVar(&o.addresses, "buildkit-addr", nil, "`ADDRESS` of the BuildKit daemon that builds (repeatable)")
	flags.StringVar(&o.TLSSecret, "buildkit-tls-secret", "", "`SECRET` with ca.crt, tls.crt and tls.key for the daemon")
	flags.StringVar(&o.RegistrySecret, "registry-secret", "", "`SECRET` of the type kubernetes.io/dockerconfigjson that only builds get")
	flags.StringVar(&o.policy, "policy", "", "policy in a `FILE`, instead of --destination and --buildkit-addr")
	addTools(cmd, &o.Tools, "what strake is to be")
	o.format = enum{value: manifest.Ytt, allowed: manifest.Formats, what: "FORM"}
	addEnum(cmd, &o.format, "format", "", "form of the manifest")
	return cmd
}

func (t *tool) hookManifest(cmd *cobra.Command, o *hookManifest) error {
	switch {
	case o.Image == "":
		return usagef(cmd, "--image is missing")
	case o.policy != "" && len(o.destinations)+len(o.addresses) > 0:
		return usagef(cmd, "--policy goes with neither --destination nor --buildkit-addr: put them into the policy")
	case o.policy == "" && len(o.destinations) == 0 && len(o.addresses)+len(o.TLSSecret)+len(o.RegistrySecret) > 0:
		return usagef(cmd, "--destination is missing: without it there are no builds")
	}
	o.Tools = trimmed(o.Tools)
	err := hook.CheckTools(o.Tools)
	if err != nil {
		return err
	}
	if o.Policy, err = o.policyText(); err != nil {
		return err
	}
	text, err := manifest.Render(o.format.value, o.Options)
	if err != nil {
		return err
	}
	_, err = t.out.Write(text)
	return err
}

// policyText is the policy as text; empty if there is none.
func (o *hookManifest) policyText() ([]byte, error) {
	if o.policy != "" {
		if _, err := hook.ReadPolicy(o.policy); err != nil {
			return nil, err
		}
		return os.ReadFile(o.policy)
	}
	if len(o.destinations) == 0 {
		return nil, nil
	}
	policy := map[string]any{"apiVersion": hook.PolicyVersion, "kind": hook.PolicyKind, "destinations": o.destinations}
	daemons := map[string]any{}
	if len(o.addresses) > 0 {
		daemons["addresses"] = o.addresses
	}
	if o.TLSSecret != "" {
		daemons["tlsDir"] = manifest.TLSDir
	}
	if len(daemons) > 0 {
		policy["buildkit"] = daemons
	}
	if o.RegistrySecret != "" {
		policy["registryConfig"] = manifest.RegistryFile
	}
	text, err := yaml.Marshal(policy)
	if err != nil {
		return nil, err
	}
	_, err = hook.ParsePolicy("the policy of these flags", text)
	return text, err
}
