package hook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/api/resource"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// The environment variables by which the operator allows builds: one names a file with a [Policy], the
// other one is the small case, a list of destinations with commas in between.
const (
	PolicyVariable       = "STRAKE_HOOK_POLICY"
	DestinationsVariable = "STRAKE_HOOK_DESTINATIONS"
)

// PolicyVersion and PolicyKind are what the file of a policy begins with.
const (
	PolicyVersion = "strake.dev/v1alpha1"
	PolicyKind    = "HookPolicy"
)

// A Policy says what builds may do. It is the operator's, never an App's.
type Policy struct {
	APIVersion string `json:"apiVersion" required:"true" enum:"strake.dev/v1alpha1"`
	Kind       string `json:"kind" required:"true" enum:"HookPolicy"`
	// Buildkit says where to build; default: BUILDKIT_HOST.
	Buildkit Buildkit `json:"buildkit"`
	// RegistryConfig is a file in the form of docker's config.json, with credentials that only builds have;
	// default: those of the container.
	RegistryConfig string `json:"registryConfig,omitempty"`
	// Destinations are repositories, in the form HOST/PATH, that images may be pushed to, with all that
	// lie below them; HOST/ is a whole registry.
	Destinations []string `json:"destinations" required:"true"`
	Limits       Limits   `json:"limits"`
	// Secrets are what builds may ask for by id.
	Secrets []Secret `json:"secrets,omitempty"`
	// Networks are what RUN may have: default, none. The first is that of builds that don't say.
	Networks []string `json:"networks,omitempty"`
}

// Buildkit names the daemons.
type Buildkit struct {
	// Addresses are in the forms tcp://HOST:PORT and unix://PATH; several make a pool.
	Addresses []string `json:"addresses,omitempty"`
	// TLSDir is a folder with ca.pem, cert.pem and key.pem; default: STRAKE_BUILDKIT_TLS_DIR.
	TLSDir string `json:"tlsDir,omitempty"`
}

// Limits bound builds.
type Limits struct {
	// Builds is how many run at once, counting all processes of the container.
	Builds int `json:"builds,omitempty"`
	// Timeout is how long one may take, and how long one may wait for its turn.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Context is the size of what one sends to the daemon, such as 512Mi.
	Context Size `json:"context,omitempty"`
}

// SetDefaults sets what holds where the policy doesn't say.
func (l *Limits) SetDefaults() {
	l.Builds, l.Timeout, l.Context = 2, 15*time.Minute, 512<<20
}

// Validate checks that something is allowed.
func (l *Limits) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if l.Builds < 1 {
		found = append(found, n.Get("builds").Errorf("expected at least 1, found %d", l.Builds))
	}
	if l.Timeout <= 0 {
		found = append(found, n.Get("timeout").Errorf("expected more than 0"))
	}
	return found.Err()
}

// A Size is a number of bytes.
type Size int64

// DecodeNode reads a quantity of Kubernetes: 512Mi, 1G or 1000000.
func (s *Size) DecodeNode(n *schema.Node) error {
	q, err := resource.ParseQuantity(n.Text())
	if err != nil || q.Value() <= 0 {
		return n.Errorf("expected a size such as 512Mi or 2Gi, found %q", n.Text())
	}
	*s = Size(q.Value())
	return nil
}

// String is the size with a unit.
func (s Size) String() string { return resource.NewQuantity(int64(s), resource.BinarySI).String() }

// A Secret is a file of the container that builds may read as a secret.
type Secret struct {
	ID   string `json:"id" required:"true"`
	File string `json:"file" required:"true"`
}

// Validate checks addresses, destinations, secrets and networks.
func (p *Policy) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	check := func(n *schema.Node, err error) {
		if err != nil {
			found = append(found, n.Errorf("%v", err))
		}
	}
	for i, item := range n.Get("buildkit").Get("addresses").Items() {
		check(item, checkAddress(p.Buildkit.Addresses[i]))
	}
	if file := p.RegistryConfig; file != "" && !filepath.IsAbs(file) {
		check(n.Get("registryConfig"), fmt.Errorf("expected an absolute path, found %q", file))
	}
	if len(p.Destinations) == 0 {
		check(n.Get("destinations"), errors.New("expected at least one repository"))
	}
	for i, item := range n.Get("destinations").Items() {
		_, err := canonical(p.Destinations[i])
		check(item, err)
	}
	for i, item := range n.Get("secrets").Items() {
		s := p.Secrets[i]
		if !filepath.IsAbs(s.File) {
			check(item.Get("file"), fmt.Errorf("expected an absolute path, found %q", s.File))
		}
		if slices.ContainsFunc(p.Secrets[:i], func(other Secret) bool { return other.ID == s.ID }) {
			check(item.Get("id"), fmt.Errorf("%s is given twice", s.ID))
		}
	}
	for i, item := range n.Get("networks").Items() {
		if !slices.Contains(networks, p.Networks[i]) {
			check(item, fmt.Errorf("expected one of %s, found %q", strings.Join(networks, ", "), p.Networks[i]))
		}
	}
	return found.Err()
}

// networks are those that need no right on the daemon's machine.
var networks = []string{"default", "none"}

// checkAddress takes the kinds of address that need no program of the container and no cluster access,
// of which it has none.
func checkAddress(address string) error {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || rest == "" || scheme != "tcp" && scheme != "unix" {
		return fmt.Errorf("expected tcp://HOST:PORT or unix://PATH, found %q", address)
	}
	return nil
}

// Load returns the policy that the environment names; nil if it names none, and so allows nothing.
func Load(getenv func(string) string) (*Policy, error) {
	file, list := getenv(PolicyVariable), getenv(DestinationsVariable)
	switch {
	case file != "" && list != "":
		return nil, stages.WithHint(fmt.Errorf("%s and %s are both set", PolicyVariable, DestinationsVariable), "put the destinations into the policy")
	case file != "":
		return ReadPolicy(file)
	case list != "":
		return smallPolicy(list)
	}
	return nil, nil
}

// ReadPolicy reads the file of a policy.
func ReadPolicy(file string) (*Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParsePolicy(file, data)
}

// ParsePolicy reads the text of a policy. name is used in messages only.
func ParsePolicy(name string, text []byte) (*Policy, error) {
	nodes, err := schema.Parse(name, text)
	if err != nil {
		return nil, err
	}
	if len(nodes) != 1 {
		return nil, fmt.Errorf("%s: expected one document of the kind %s, found %d documents", name, PolicyKind, len(nodes))
	}
	p := &Policy{}
	if err := schema.Decode(nodes[0], p); err != nil {
		return nil, err
	}
	return p, nil
}

func smallPolicy(list string) (*Policy, error) {
	p := &Policy{APIVersion: PolicyVersion, Kind: PolicyKind}
	p.Limits.SetDefaults()
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if _, err := canonical(text); err != nil {
			return nil, fmt.Errorf("%s: %w", DestinationsVariable, err)
		}
		p.Destinations = append(p.Destinations, text)
	}
	if len(p.Destinations) == 0 {
		return nil, fmt.Errorf("%s names no repository", DestinationsVariable)
	}
	return p, nil
}

// element is the grammar of one element of a repository's path, by the OCI distribution specification.
// Without it “team/../other” would be below “team”.
var element = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)

// canonical is a destination in the form host/path/, so that what lies below it begins with it.
func canonical(text string) (string, error) {
	bad := fmt.Errorf("expected a repository in the form registry.example.com/team, found %q", text)
	host, path, ok := strings.Cut(text, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "", bad
	}
	registry, err := name.NewRegistry(host)
	if err != nil {
		return "", bad
	}
	if path = strings.TrimSuffix(path, "/"); path == "" {
		return registry.RegistryStr() + "/", nil
	}
	for e := range strings.SplitSeq(path, "/") {
		if !element.MatchString(e) {
			return "", bad
		}
	}
	return registry.RegistryStr() + "/" + path + "/", nil
}

// AllowsDestination tells whether images may be pushed to a repository.
func (p *Policy) AllowsDestination(repo name.Repository) error {
	where, err := canonical(repo.RegistryStr() + "/" + repo.RepositoryStr())
	if err == nil {
		for _, d := range p.Destinations {
			if prefix, err := canonical(d); err == nil && strings.HasPrefix(where, prefix) {
				return nil
			}
		}
	}
	return stages.WithHint(fmt.Errorf("destination %s is not allowed here", repo.Name()),
		"the policy of the cluster allows %s, and what lies below", strings.Join(p.Destinations, ", "))
}

// AllowsNetwork tells whether RUN may have a network, and returns the one to take; empty asks for that
// of builds that don't say.
func (p *Policy) AllowsNetwork(mode string) (string, error) {
	allowed := p.Networks
	if len(allowed) == 0 {
		allowed = networks
	}
	switch {
	case mode == "" && allowed[0] == networks[0]:
		return "", nil
	case mode == "":
		return allowed[0], nil
	case !slices.Contains(allowed, mode):
		return "", stages.WithHint(fmt.Errorf("network %s is not allowed here", mode), "the policy of the cluster allows %s", strings.Join(allowed, ", "))
	}
	return mode, nil
}

// SecretFile is the file of a secret that builds may have.
func (p *Policy) SecretFile(id string) (string, error) {
	var ids []string
	for _, s := range p.Secrets {
		if s.ID == id {
			return s.File, nil
		}
		ids = append(ids, s.ID)
	}
	hint := "the policy of the cluster has no secrets"
	if len(ids) > 0 {
		hint = "the policy of the cluster has " + strings.Join(ids, ", ")
	}
	return "", stages.WithHint(fmt.Errorf("secret %s is not allowed here", id), "%s", hint)
}
