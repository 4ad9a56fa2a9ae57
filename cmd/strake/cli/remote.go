package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/pflag"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/extension"
	"strake.dev/strake/internal/hook"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins"
	"strake.dev/strake/plugins/kbld"
)

// remoteFlags say where clusters, registries and builders are.
type remoteFlags struct {
	// rebuild is a flag only where there are builds.
	rebuild             bool
	buildCache          string
	kubeconfig, context string
	mirrors, cas, plain []string
	buildkit, tlsDir    string
	entitlements        []string
	allowPlugins        []string
	pluginSandbox       string
	// skipVerify and allowHTTP are kbld's own flags.
	skipVerify, allowHTTP bool
	// noCluster keeps builders from being looked for in a cluster.
	noCluster bool
	// keychain, if not nil, goes before the user's credentials.
	keychain authn.Keychain
	// images, if not nil, is told what references became.
	images *kbld.Record
	cache  cacheFlags
}

// addCluster adds the flags of commands that only talk to a cluster.
func (f *remoteFlags) addCluster(flags *pflag.FlagSet) {
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`, instead of KUBECONFIG and ~/.kube/config")
	fromEnv(flags, "kubeconfig", "STRAKE_KUBECONFIG")
	flags.StringVar(&f.context, "context", "", "context `NAME` of the kubeconfig, instead of its current one")
	fromEnv(flags, "context", "STRAKE_CONTEXT")
}

// addRegistry adds the flags of commands that only talk to registries.
func (f *remoteFlags) addRegistry(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.mirrors, "registry-mirror", nil, "ask a mirror before a registry: `HOST=MIRROR`, such as docker.io=mirror.example.com (repeatable)")
	fromEnv(flags, "registry-mirror", "STRAKE_REGISTRY_MIRRORS")
	flags.StringArrayVar(&f.cas, "registry-ca-cert-path", nil, "trust registries by the CA certificates of a PEM `FILE` too, besides the system's (repeatable)")
	fromEnv(flags, "registry-ca-cert-path", "STRAKE_REGISTRY_CA_CERT_PATH")
	flags.StringArrayVar(&f.plain, "registry-plain-http", nil, "speak plain HTTP with the registry at `HOST` or HOST:PORT (repeatable)")
	fromEnv(flags, "registry-plain-http", "STRAKE_REGISTRY_PLAIN_HTTP")
}

func (f *remoteFlags) add(flags *pflag.FlagSet) {
	f.addCluster(flags)
	f.addRegistry(flags)
	f.cache.add(flags)
	flags.StringVar(&f.buildkit, "buildkit-addr", "", "`ADDRESS` of the BuildKit daemon for Apps that name none, or several addresses separated by commas; before BUILDKIT_HOST")
	fromEnv(flags, "buildkit-addr", "STRAKE_BUILDKIT_ADDR")
	flags.StringVar(&f.tlsDir, "buildkit-tls-dir", "", "`FOLDER` with ca.pem, cert.pem and key.pem for BuildKit daemons at tcp:// addresses")
	fromEnv(flags, "buildkit-tls-dir", "STRAKE_BUILDKIT_TLS_DIR")
	flags.StringArrayVar(&f.entitlements, "allow-entitlement", nil, "let builds have a `RIGHT` on the daemon's machine: network.host or security.insecure (repeatable)")
	f.addPlugins(flags)
}

// addPlugins adds the flags about plugins that are executables.
func (f *remoteFlags) addPlugins(flags *pflag.FlagSet) {
	addAllowPlugin(flags, &f.allowPlugins)
	flags.StringVar(&f.pluginSandbox, "plugin-sandbox", extension.Auto, "where executables can't be wholly confined, warn (auto) or refuse to run them (required): `MODE`")
	fromEnv(flags, "plugin-sandbox", "STRAKE_PLUGIN_SANDBOX")
}

// confine lets builds be only where a policy says, and without rights.
func (f *remoteFlags) confine(policy *hook.Policy) (err error) {
	f.noCluster, f.entitlements, f.allowPlugins = true, nil, nil
	if len(policy.Buildkit.Addresses) > 0 {
		f.buildkit = strings.Join(policy.Buildkit.Addresses, ",")
	}
	f.tlsDir = cmp.Or(policy.Buildkit.TLSDir, f.tlsDir)
	if policy.RegistryConfig != "" {
		f.keychain, err = registry.ConfigKeychain(policy.RegistryConfig)
	}
	return err
}

// deps makes the clients that plugins share. None of them connects.
func (f *remoteFlags) deps(userAgent string) (plugins.Deps, error) {
	switch f.pluginSandbox {
	case "", extension.Auto, extension.Required:
	default:
		return plugins.Deps{}, fmt.Errorf("--plugin-sandbox: expected %s or %s, found %q", extension.Auto, extension.Required, f.pluginSandbox)
	}
	mirrors, err := registry.ParseMirrors(strings.Join(f.mirrors, ","))
	if err != nil {
		return plugins.Deps{}, err
	}
	images, err := registry.New(registry.Options{
		Mirrors: mirrors, CAs: f.cas, PlainHTTP: f.plain, SkipVerify: f.skipVerify, AllowHTTP: f.allowHTTP, UserAgent: userAgent,
	})
	if err != nil {
		return plugins.Deps{}, err
	}
	keychain := registry.Keychain()
	if f.keychain != nil {
		keychain = authn.NewMultiKeychain(f.keychain, keychain)
		if images, err = images.WithKeychain(keychain); err != nil {
			return plugins.Deps{}, err
		}
	}
	cluster := kube.New(kube.Options{Kubeconfig: f.kubeconfig, Context: f.context, UserAgent: userAgent})
	store, err := f.cache.store()
	if err != nil {
		return plugins.Deps{}, err
	}
	builders := cluster
	if f.noCluster {
		builders = nil
	}
	return plugins.Deps{
		Cluster:  cluster,
		Registry: images,
		Cache:    store,
		Builder: buildkit.New(buildkit.ClientOptions{
			Address: f.buildkit, TLSDir: f.tlsDir, Cluster: builders, Keychain: keychain, AllowEntitlements: f.entitlements, Registry: images,
		}),
		Rebuild:        f.rebuild,
		BuildCache:     f.buildCache,
		AllowedPlugins: f.allowPlugins,
		RequireSandbox: f.pluginSandbox == extension.Required,
		UserAgent:      userAgent,
		// vendir's own variable, and the one that most tools know.
		GitHubToken: cmp.Or(os.Getenv("VENDIR_GITHUB_API_TOKEN"), os.Getenv("GITHUB_TOKEN")),

		Images:      f.images,
		ToolCommand: kbldToolCommand,
	}, nil
}
