package buildkit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"

	"strake.dev/strake/stages"
)

// agentVariable is the environment variable that names the socket of the user's SSH agent.
const agentVariable = "SSH_AUTH_SOCK"

// attachables are what the daemon may ask for during a build: credentials, secrets, SSH agents.
func (c *Client) attachables(o Options, keychain authn.Keychain, hide func([]byte)) ([]session.Attachable, error) {
	if keychain == nil {
		keychain = c.opts.Keychain
	}
	list := []session.Attachable{credentials(keychain)}
	if len(o.Secrets) > 0 {
		list = append(list, secretsprovider.NewSecretProvider(newSecretStore(o.Secrets, hide)))
	}
	if len(o.SSH) > 0 {
		agents, err := c.agents(o.SSH)
		if err != nil {
			return nil, err
		}
		list = append(list, agents)
	}
	return list, nil
}

// A secretStore reads each secret when the daemon first asks for it, once.
type secretStore map[string]*secret

type secret struct {
	read  Secret
	hide  func([]byte)
	mu    sync.Mutex
	known bool
	value []byte
}

func newSecretStore(named map[string]Secret, hide func([]byte)) secretStore {
	store := secretStore{}
	for name, read := range maps.All(named) {
		store[name] = &secret{read: read, hide: hide}
	}
	return store
}

// GetSecret returns the value of a secret.
func (s secretStore) GetSecret(ctx context.Context, name string) ([]byte, error) {
	secret, ok := s[name]
	if !ok {
		return nil, secrets.ErrNotFound
	}
	value, err := secret.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("secret %s can't be read: %w", name, err)
	}
	if len(value) > secretsprovider.MaxSecretSize {
		return nil, fmt.Errorf("secret %s has %d bytes, expected at most %d", name, len(value), secretsprovider.MaxSecretSize)
	}
	return value, nil
}

// get reads the secret, unless that was done before. A failure isn't kept: it may be the caller's end.
func (s *secret) get(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s.value, nil
	}
	value, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	s.hide(value)
	s.value, s.known = value, true
	return value, nil
}

// agents forwards SSH agents, or keys as if an agent had them.
func (c *Client) agents(named map[string][]string) (session.Attachable, error) {
	var configs []sshprovider.AgentConfig
	for _, name := range slices.Sorted(maps.Keys(named)) {
		paths := named[name]
		if len(paths) == 0 {
			socket := c.opts.Getenv(agentVariable)
			if socket == "" {
				err := fmt.Errorf("ssh %s: there is no SSH agent: %s is not set", name, agentVariable)
				return nil, stages.WithHint(err, "start one with “eval $(ssh-agent)” and add a key with ssh-add, or name a key file")
			}
			paths = []string{socket}
		}
		config := sshprovider.AgentConfig{ID: name, Paths: paths}
		// One by one, so that the error can tell which of them it is.
		if _, err := sshprovider.NewSSHAgentProvider([]sshprovider.AgentConfig{config}); err != nil {
			// The library puts the whole configuration around the cause.
			_, cause, _ := strings.Cut(err.Error(), fmt.Sprintf("for ID: %q: ", name))
			return nil, stages.WithHint(fmt.Errorf("ssh %s: %s", name, cause),
				"expected the socket of an SSH agent, or key files without a passphrase")
		}
		configs = append(configs, config)
	}
	return sshprovider.NewSSHAgentProvider(configs)
}
