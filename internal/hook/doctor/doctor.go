// Package doctor tells whether all that builds in a kapp-controller need is there, as seen from the
// container that it runs in.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/hook"
	"strake.dev/strake/stages"
)

// A Check is one thing that has to be right.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is what was found.
	Detail string `json:"detail"`
	// Fix says what to do where it isn't right.
	Fix string `json:"fix,omitempty"`
}

// Options say what to look at.
type Options struct {
	// Tools are those that are to be strake.
	Tools []string
	// Getenv reads the environment.
	Getenv func(string) string
	// Clients makes the clients that builds under a policy would use.
	Clients func(*hook.Policy) (Builder, Registry, error)
}

// A Builder is a [buildkit.Client].
type Builder interface {
	Daemons(ctx context.Context, app buildkit.Choice, events stages.Observer) ([]buildkit.Daemon, error)
	Describe(ctx context.Context, d buildkit.Daemon) (buildkit.Description, error)
}

// A Registry is a client of registries.
type Registry interface {
	Repository(text string) (name.Repository, error)
	MayPush(ctx context.Context, repo name.Repository) error
}

// patience is how long one check may take.
const patience = 15 * time.Second

// Examine makes all checks.
func Examine(ctx context.Context, o Options) []Check {
	e := &examination{Options: o}
	for _, tool := range o.Tools {
		e.add("tool "+tool, "put strake's folder first in PATH; “strake hook manifest” does", func() (string, error) { return e.tool(tool) })
	}
	var policy *hook.Policy
	e.add("policy", "set "+hook.PolicyVariable+" to the file of a policy, or "+hook.DestinationsVariable, func() (detail string, err error) {
		policy, detail, err = e.policy()
		return detail, err
	})
	e.add("key", "let "+hook.KeyVariable+" name a file in a folder that only this container can write to", e.key)
	e.add("locks", "let HOME or TMPDIR be a folder that can be written to", e.locks)
	if policy != nil {
		e.builds(ctx, policy)
	}
	return e.checks
}

type examination struct {
	Options
	checks []Check
}

// add makes a check. The error's own hint goes before the given one.
func (e *examination) add(name, fix string, examine func() (string, error)) {
	detail, err := examine()
	c := Check{Name: name, OK: err == nil, Detail: detail}
	if err != nil {
		c.Detail, c.Fix = err.Error(), fix
		if hint := stages.Hint(err); hint != "" {
			c.Fix = hint
		}
	}
	e.checks = append(e.checks, c)
}

func (*examination) tool(tool string) (string, error) {
	found, err := exec.LookPath(tool)
	if err != nil {
		return "", fmt.Errorf("%s is not on PATH", tool)
	}
	real, err := filepath.EvalSymlinks(found)
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	a, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	b, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	if !os.SameFile(a, b) {
		return "", fmt.Errorf("%s is %s, which isn't this strake", tool, real)
	}
	return found, nil
}

func (e *examination) policy() (*hook.Policy, string, error) {
	policy, err := hook.Load(e.Getenv)
	switch {
	case err != nil:
		return nil, "", err
	case policy == nil:
		return nil, "", errors.New("no policy is set: builds are not allowed")
	}
	return policy, "allows " + strings.Join(policy.Destinations, ", "), nil
}

func (e *examination) key() (string, error) {
	file, err := hook.KeyFile(e.Getenv)
	if err != nil {
		return "", err
	}
	if _, err := hook.LoadKey(file); err != nil {
		return "", err
	}
	return file + " is private", nil
}

func (e *examination) locks() (string, error) {
	turns, err := hook.NewTurns(1, e.Getenv)
	if err != nil {
		return "", err
	}
	dir, done, err := turns.Temp()
	if err != nil {
		return "", err
	}
	done()
	return filepath.Dir(filepath.Dir(dir)) + " can be written to", nil
}

// builds checks what only builds need.
func (e *examination) builds(ctx context.Context, policy *hook.Policy) {
	for _, s := range policy.Secrets {
		e.add("secret "+s.ID, "mount it into this container", func() (string, error) { return s.File, readable(s.File) })
	}
	if policy.RegistryConfig != "" {
		e.add("registry credentials", "mount it into this container", func() (string, error) {
			return policy.RegistryConfig, readable(policy.RegistryConfig)
		})
	}
	builder, registry, err := e.Clients(policy)
	if err != nil {
		e.add("clients", "correct the policy", func() (string, error) { return "", err })
		return
	}
	e.daemons(ctx, builder)
	for _, d := range policy.Destinations {
		e.add("push to "+d, "give the account of "+hook.PolicyVariable+"'s registryConfig, or the container's docker config, the right to push", func() (string, error) {
			return push(ctx, registry, d)
		})
	}
}

func (e *examination) daemons(ctx context.Context, builder Builder) {
	const fix = "name a daemon that runs: buildkit.addresses of the policy"
	daemons, err := builder.Daemons(ctx, buildkit.Choice{}, nothing{})
	if err != nil {
		e.add("BuildKit", fix, func() (string, error) { return "", errors.New(err.Error()) })
	}
	for _, d := range daemons {
		e.add("BuildKit "+d.String(), fix, func() (string, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			found, err := builder.Describe(ctx, d)
			if err != nil {
				return "", errors.New(err.Error())
			}
			if found.Workers == 0 {
				return "", errors.New("has no worker")
			}
			slices.Sort(found.Platforms)
			return fmt.Sprintf("%s, workers: %d, platforms: %s", found.Version, found.Workers, strings.Join(found.Platforms, " ")), nil
		})
	}
}

func push(ctx context.Context, registry Registry, destination string) (string, error) {
	if strings.HasSuffix(destination, "/") && strings.Count(destination, "/") == 1 {
		return "not tried, as it is a whole registry", nil
	}
	repo, err := registry.Repository(strings.TrimSuffix(destination, "/"))
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := registry.MayPush(ctx, repo); err != nil {
		return "", err
	}
	return "allowed", nil
}

func readable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// nothing hears events.
type nothing struct{}

// Observe implements [stages.Observer].
func (nothing) Observe(stages.Event) {}
