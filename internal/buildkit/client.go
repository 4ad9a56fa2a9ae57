package buildkit

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/buildkit/util/entitlements"

	// Each import adds the kind of address that its name says.
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer"
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"
	_ "github.com/moby/buildkit/client/connhelper/ssh"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/registry"
)

// ClientOptions configure a [Client]. The zero value works.
type ClientOptions struct {
	// Address names the daemons for Apps that name none, separated by commas. It goes before
	// BUILDKIT_HOST.
	Address string
	// TLSDir is a folder with ca.pem, cert.pem and key.pem for daemons at tcp:// addresses, unless the
	// App has others.
	TLSDir string
	// Cluster is where daemons that run as pods are looked for; nil means that there are none.
	Cluster *kube.Cluster
	// Keychain has the credentials for pulling and pushing; nil is [registry.Keychain]. They stay in
	// this process until the daemon asks for those of one registry.
	Keychain authn.Keychain
	// Getenv reads BUILDKIT_HOST and SOURCE_DATE_EPOCH; nil is [os.Getenv].
	Getenv func(string) string
	// AllowEntitlements are the rights on the daemon's machine that builds may ask for, such as
	// network.host. Builds that ask for others are refused.
	AllowEntitlements []string
	// Registry asks a registry that has turned the daemon away, before the next try, so that the try is
	// as late as the registry wants; nil asks nobody.
	Registry *registry.Client
	// FirstWait is how long to wait before a push is tried again, at first; 0 is a second.
	FirstWait time.Duration
}

// A Client builds with BuildKit daemons. It is safe for concurrent use, and holds no connection
// between builds.
type Client struct {
	opts ClientOptions
	// tls is what TLSDir holds.
	tls     func() (*TLS, error)
	met     contacts
	folders folders
}

// New returns a client. It doesn't dial.
func New(opts ClientOptions) *Client {
	if opts.Keychain == nil {
		opts.Keychain = registry.Keychain()
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	c := &Client{opts: opts}
	c.tls = sync.OnceValues(func() (*TLS, error) { return readTLSDir(opts.TLSDir) })
	return c
}

// Check tells whether the addresses, the TLS files, the entitlements and the SOURCE_DATE_EPOCH that the
// client was given are well-formed. It asks no daemon.
func (c *Client) Check() error {
	for _, list := range []string{c.opts.Address, c.opts.Getenv(HostVariable)} {
		if list == "" {
			continue
		}
		if _, err := ParseAddresses(list); err != nil {
			return err
		}
	}
	if _, err := c.tls(); err != nil {
		return err
	}
	for _, name := range c.opts.AllowEntitlements {
		if _, _, err := entitlements.Parse(name); err != nil {
			return fmt.Errorf("%s %s: %w", EntitlementFlag, name, err)
		}
	}
	_, err := c.Epoch()
	return err
}

// Epoch is the SOURCE_DATE_EPOCH that the environment asks for, or empty.
func (c *Client) Epoch() (string, error) {
	text := c.opts.Getenv(epochArg)
	if n, err := strconv.ParseInt(text, 10, 64); text != "" && (err != nil || n < 0) {
		return "", fmt.Errorf("environment variable %s: expected seconds since 1970, such as %d, found %q", epochArg, fixedTime, text)
	}
	return text, nil
}
