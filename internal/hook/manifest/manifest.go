// Package manifest makes the change to a stock kapp-controller that puts strake into it: a container that
// installs strake before the others start, PATHs that find it first, and the policy for builds. The image
// of kapp-controller stays as it is.
package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/hook"
)

// The forms of a manifest.
const (
	// Strategic is a strategic merge patch of the Deployment, for “kubectl patch”. It isn't one for
	// “kubectl apply --server-side”: after an “apply” without that flag, kubectl would make it the owner
	// of the whole Deployment, and so delete the rest the next time.
	Strategic = "strategic"
	// ConfigMap is the one with the policy, which the other forms have in them.
	ConfigMap = "configmap"
	// Kustomize is a Component.
	Kustomize = "kustomize"
	// Ytt is an overlay.
	Ytt = "ytt"
)

// Formats are all of them.
var Formats = []string{Ytt, Kustomize, Strategic, ConfigMap}

// Options say what is installed.
type Options struct {
	// Image is that of strake; its entry point is the program.
	Image string
	// Namespace and Deployment are where kapp-controller is.
	Namespace, Deployment string
	// Tools are the names by which kapp-controller shall find strake.
	Tools []string
	// Policy is the text of the policy for builds; empty allows none.
	Policy []byte
	// TLSSecret is a Secret of the type kubernetes.io/tls with ca.crt too, for BuildKit daemons;
	// RegistrySecret one of the type kubernetes.io/dockerconfigjson. Both may be empty.
	TLSSecret, RegistrySecret string
}

// What things are called, and where they are in the containers.
const (
	controller = "kapp-controller"
	sidecar    = "kapp-controller-sidecarexec"
	policyName = "strake-hook-policy"
	policyKey  = "policy.yaml"

	binDir = "/strake/bin"
	// installDir is where the image of strake, of which nothing is known, sees it.
	installDir = "/install"
	// TLSDir and RegistryFile are where the policy finds what the Secrets hold.
	TLSDir       = "/strake/tls"
	RegistryFile = "/strake/registry/config.json"
	stateDir     = "/strake/state"
	policyDir    = "/strake/policy"
	// searchPath has what the stock image has, after ours: its tools lie in /.
	searchPath = binDir + ":/:/usr/local/bin:/usr/bin:/bin"
)

type object = map[string]any

// Render prints the manifest in a format.
func Render(format string, o Options) ([]byte, error) {
	switch format {
	case Ytt:
		return overlay(o)
	case Kustomize:
		return component(o)
	case Strategic:
		return yaml.Marshal(o.deployment())
	case ConfigMap:
		if len(o.Policy) == 0 {
			return nil, errors.New("there is no policy to make a ConfigMap of")
		}
		return yaml.Marshal(o.configMap())
	}
	return nil, fmt.Errorf("unknown format %q", format)
}

func (o Options) configMap() object {
	return object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": object{"name": policyName, "namespace": o.Namespace},
		"data":     object{policyKey: string(o.Policy)},
	}
}

// deployment is a strategic merge patch.
func (o Options) deployment() object {
	spec := object{
		"initContainers": []any{o.installer()},
		"containers":     []any{o.sidecar()},
		"volumes":        o.volumes(),
	}
	if slices.Contains(o.Tools, "kapp") {
		spec["containers"] = []any{
			object{"name": controller, "env": []any{variable("PATH", searchPath)}, "volumeMounts": []any{readOnly("strake-bin", binDir)}},
			o.sidecar(),
		}
	}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": object{"name": o.Deployment, "namespace": o.Namespace},
		"spec":     object{"template": object{"spec": spec}},
	}
}

func (o Options) installer() object {
	return object{
		"name": "strake-hook", "image": o.Image,
		"args":         []any{"hook", "install", "--tools=" + strings.Join(o.Tools, ","), installDir},
		"volumeMounts": []any{object{"name": "strake-bin", "mountPath": installDir}},
		"resources":    object{"requests": object{"cpu": "10m", "memory": "32Mi"}},
		"securityContext": object{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
			"capabilities":   object{"drop": []any{"ALL"}},
			"seccompProfile": object{"type": "RuntimeDefault"},
		},
	}
}

func (o Options) sidecar() object {
	env := []any{variable("PATH", searchPath)}
	mounts := []any{readOnly("strake-bin", binDir)}
	if len(o.Policy) > 0 {
		env = append(
			env, variable(hook.PolicyVariable, policyDir+"/"+policyKey),
			variable(hook.KeyVariable, stateDir+"/key"), variable("XDG_CACHE_HOME", stateDir+"/cache"),
		)
		mounts = append(mounts, readOnly("strake-policy", policyDir), object{"name": "strake-state", "mountPath": stateDir})
	}
	if o.TLSSecret != "" {
		mounts = append(mounts, readOnly("strake-tls", TLSDir))
	}
	if o.RegistrySecret != "" {
		mounts = append(mounts, readOnly("strake-registry", strings.TrimSuffix(RegistryFile, "/config.json")))
	}
	return object{"name": sidecar, "env": env, "volumeMounts": mounts}
}

// volumes lie on the disk where they hold something big: memory would count as the pod's.
func (o Options) volumes() []any {
	list := []any{object{"name": "strake-bin", "emptyDir": object{}}}
	if len(o.Policy) > 0 {
		list = append(
			list, object{"name": "strake-state", "emptyDir": object{}},
			object{"name": "strake-policy", "configMap": object{"name": policyName}},
		)
	}
	if o.TLSSecret != "" {
		list = append(list, secret("strake-tls", o.TLSSecret, "ca.crt", "ca.pem", "tls.crt", "cert.pem", "tls.key", "key.pem"))
	}
	if o.RegistrySecret != "" {
		list = append(list, secret("strake-registry", o.RegistrySecret, ".dockerconfigjson", "config.json"))
	}
	return list
}

func variable(name, value string) object { return object{"name": name, "value": value} }

func readOnly(volume, path string) object {
	return object{"name": volume, "mountPath": path, "readOnly": true}
}

// secret is a volume with keys of a Secret, each followed by the name of its file.
func secret(volume, name string, keys ...string) object {
	var items []any
	for i := 0; i < len(keys); i += 2 {
		items = append(items, object{"key": keys[i], "path": keys[i+1]})
	}
	return object{"name": volume, "secret": object{"secretName": name, "items": items}}
}

// component is a Component of kustomize, in one file.
func component(o Options) ([]byte, error) {
	patch, err := yaml.Marshal(o.deployment())
	if err != nil {
		return nil, err
	}
	c := object{
		"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component",
		"patches": []any{object{"patch": string(patch)}},
	}
	if len(o.Policy) > 0 {
		c["configMapGenerator"] = []any{object{
			"name": policyName, "namespace": o.Namespace, "literals": []any{policyKey + "=" + string(o.Policy)},
		}}
	}
	return yaml.Marshal(c)
}
