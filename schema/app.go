package schema

import (
	"strings"
	"time"
)

// The kinds that a file may hold.
const (
	APIVersion           = "strake.dev/v1alpha1"
	KappControllerGroup  = "kappctrl.k14s.io/v1alpha1"
	KindApp              = "App"
	KindPipeline         = "Pipeline"
	defaultAppNamespace  = "default"
	kubeconfigDefaultKey = "value"
)

// An App says where source and configuration come from and where they go, stage by stage. It is a
// superset of kapp-controller's App, https://carvel.dev/kapp-controller/docs/latest/app-spec/.
type App struct {
	// APIVersion is strake.dev/v1alpha1, or kappctrl.k14s.io/v1alpha1 for an App of kapp-controller.
	APIVersion string `json:"apiVersion" required:"true"`
	Kind       string `json:"kind" required:"true"`
	// Metadata names the App; the name is also the name of the kapp app.
	Metadata Metadata `json:"metadata" required:"true"`
	Spec     AppSpec  `json:"spec" required:"true"`
	// Status is what kapp-controller wrote; it is never read.
	Status *Node `json:"status,omitempty"`

	node *Node
}

// Validate keeps the App's document.
func (a *App) Validate(n *Node) error {
	a.node = n
	return nil
}

// WithStatus prints the App as a document with that status, plain Go data, instead of its own.
func (a *App) WithStatus(status map[string]any) ([]byte, error) {
	n, err := a.node.without("status").With("status", status)
	if err != nil {
		return nil, err
	}
	return n.YAML()
}

// AppSpec holds the entries of each stage, run in the order in which the stages stand here.
type AppSpec struct {
	Identity `json:",inline"`
	// SyncPeriod is how often kapp-controller reconciles the App; a run of strake ignores it.
	SyncPeriod time.Duration `json:"syncPeriod,omitempty"`
	// Paused Apps are not run.
	Paused bool `json:"paused,omitempty"`
	// Canceled Apps are not run.
	Canceled bool `json:"canceled,omitempty"`
	// NoopDelete makes delete leave the deployed objects alone.
	NoopDelete bool `json:"noopDelete,omitempty"`

	// Fetch lists the sources that make up the App's folder.
	Fetch []Entry `json:"fetch,omitempty"`
	// Verify checks signatures: of what was fetched before it is used, and of images before they are.
	Verify []Entry `json:"verify,omitempty"`
	// Template turns the folder into manifests; the first entry reads folders, later ones the
	// manifests so far.
	Template []Entry `json:"template,omitempty"`
	// Build replaces the images that manifests name by built or resolved ones.
	Build []Entry `json:"build,omitempty"`
	// Publish keeps the manifests in a registry.
	Publish []Entry `json:"publish,omitempty"`
	// Deploy brings the manifests to a cluster.
	Deploy []Entry `json:"deploy,omitempty"`
}

// Identity is with whose rights and where an App is deployed.
type Identity struct {
	// ServiceAccountName names the service account, in the App's namespace, to deploy with.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Cluster is another cluster to deploy to.
	Cluster *Cluster `json:"cluster,omitempty"`
	// DefaultNamespace is for namespaced objects that name none; default: the App's namespace.
	DefaultNamespace string `json:"defaultNamespace,omitempty"`
}

// validate checks that no two identities are asked for.
func (i *Identity) validate(n *Node) error {
	if i.ServiceAccountName != "" && i.Cluster != nil {
		return n.Get("cluster").Errorf("cannot be combined with serviceAccountName: expected one of them")
	}
	return nil
}

// Validate checks what concerns more than one field.
func (s *AppSpec) Validate(n *Node) error { return s.validate(n) }

// Cluster names another cluster to deploy to.
type Cluster struct {
	// Namespace is where the app's record lives there.
	Namespace string `json:"namespace,omitempty"`
	// KubeconfigSecretRef names the Secret that holds a kubeconfig.
	KubeconfigSecretRef *SecretKeyRef `json:"kubeconfigSecretRef" required:"true"`
}

// SecretKeyRef points to one key of a Secret in the App's namespace.
type SecretKeyRef struct {
	Name string `json:"name" required:"true"`
	// Key is the key of the Secret's data; default: value.
	Key string `json:"key,omitempty"`
}

// SetDefaults sets the key that kapp-controller takes when none is given.
func (r *SecretKeyRef) SetDefaults() { r.Key = kubeconfigDefaultKey }

// LocalRef points to a Secret or ConfigMap in the App's namespace.
type LocalRef struct {
	Name string `json:"name" required:"true"`
}

// Metadata is the part of Kubernetes' ObjectMeta that matters here. What an API server adds to it
// is accepted and not read.
type Metadata struct {
	Name        string            `json:"name" required:"true"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	UID                        string `json:"uid,omitempty"`
	ResourceVersion            string `json:"resourceVersion,omitempty"`
	Generation                 int64  `json:"generation,omitempty"`
	GenerateName               string `json:"generateName,omitempty"`
	SelfLink                   string `json:"selfLink,omitempty"`
	CreationTimestamp          *Node  `json:"creationTimestamp,omitempty"`
	DeletionTimestamp          *Node  `json:"deletionTimestamp,omitempty"`
	DeletionGracePeriodSeconds *Node  `json:"deletionGracePeriodSeconds,omitempty"`
	Finalizers                 *Node  `json:"finalizers,omitempty"`
	OwnerReferences            *Node  `json:"ownerReferences,omitempty"`
	ManagedFields              *Node  `json:"managedFields,omitempty"`
}

// SetDefaults sets the namespace that kubectl takes when none is given.
func (m *Metadata) SetDefaults() { m.Namespace = defaultAppNamespace }

// Validate checks that the names are ones that Kubernetes takes.
func (m *Metadata) Validate(n *Node) error {
	var found Diagnostics
	for key, value := range map[string]string{"name": m.Name, "namespace": m.Namespace} {
		if value != "" && !validName(value) {
			at := n.Get(key)
			d := at.Errorf("%q is not a valid name", value)
			d.Hint = "lower-case letters, digits, “-” and “.”, beginning and ending with a letter or digit, at most 253"
			found = append(found, d)
		}
	}
	return found.Err()
}

// validName tells whether s is a DNS subdomain, as Kubernetes wants names to be (RFC 1123).
func validName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	if !alnum(s[0]) || !alnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alnum(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// NameFrom makes of any text what a name may consist of: lower-case letters, digits and “-”. It may be empty.
func NameFrom(text string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, text)
	return strings.Trim(clean, "-")
}

// An Entry is one entry of a stage: a mapping in which one key names a plugin. Its meaning is the
// plugin's, so it is kept as it stands in the file.
type Entry struct{ Node *Node }

// DecodeNode keeps the entry's node.
func (e *Entry) DecodeNode(n *Node) error {
	if !n.IsMapping() || len(n.Pairs()) == 0 {
		d := n.Errorf("expected a mapping that names a plugin, found %s", n.describe())
		d.Hint = "for example “- ytt: {}”"
		return d
	}
	e.Node = n
	return nil
}
