package kbld

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A secret says where the value of a build's secret is. Exactly one of Env, File and SecretRef is
// set, but none where the policy of a cluster has the secret.
type secret struct {
	// ID is what the Dockerfile calls it.
	ID string `json:"id" required:"true"`
	// Env is the name of an environment variable.
	Env string `json:"env,omitempty"`
	// File counts from the App's file.
	File string `json:"file,omitempty"`
	// SecretRef names one key of a Secret.
	SecretRef *secretKey `json:"secretRef,omitempty"`
	// inSources means that File is a path in the App's folder instead.
	inSources bool
}

// A secretKey is one key of a Secret.
type secretKey struct {
	Name string `json:"name" required:"true"`
	Key  string `json:"key" required:"true"`
}

// oneSecret is what is wrong with a secret that has no value, or several.
const oneSecret = "secret %s: expected exactly one of env, file and secretRef"

// checkValues tells which secrets of a source's options have no value. What was found about one before is
// enough.
func checkValues(secrets []secret, n *schema.Node, found *schema.Diagnostics) {
	for i, item := range n.Items() {
		known := func(d schema.Diagnostic) bool { return strings.HasPrefix(d.Path, item.Path()) }
		if i < len(secrets) && secrets[i].none() && !slices.ContainsFunc(*found, known) {
			*found = append(*found, item.Errorf(oneSecret, secrets[i].ID))
		}
	}
}

func (s *secret) none() bool { return s.Env == "" && s.File == "" && s.SecretRef == nil }

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate checks that there is one place to take the value from.
func (s *secret) Validate(n *schema.Node) error {
	given := 0
	for _, yes := range []bool{s.Env != "", s.File != "", s.SecretRef != nil} {
		if yes {
			given++
		}
	}
	// With none it is one of the policy's, where there is a policy.
	if given > 1 {
		return n.Errorf(oneSecret, s.ID)
	}
	if s.Env != "" {
		return at(n.Get("env"), checkVariable(s.Env))
	}
	return nil
}

func checkVariable(name string) error {
	if !variableName.MatchString(name) {
		// What isn't a name may be the value itself.
		return stages.WithHint(errors.New("expected the name of an environment variable"), "letters, digits and _")
	}
	return nil
}

// sshKeys are what a build may use for SSH.
type sshKeys struct {
	// ID is what the Dockerfile calls it.
	ID string `json:"id,omitempty"`
	// Paths are sockets of agents or files with keys, and count from the App's file; none is the agent
	// of SSH_AUTH_SOCK.
	Paths []string `json:"paths,omitempty"`
	// inSources means that Paths are paths in the App's folder instead.
	inSources bool
}

// SetDefaults sets the name that RUN --mount=type=ssh has by default.
func (k *sshKeys) SetDefaults() { k.ID = "default" }

// Validate checks that nothing is empty.
func (k *sshKeys) Validate(n *schema.Node) error {
	if k.ID == "" {
		return n.Get("id").Errorf("is empty: expected a name such as default")
	}
	for i, item := range n.Get("paths").Items() {
		if k.Paths[i] == "" {
			return item.Errorf("is empty: expected the path of a key or of an agent's socket")
		}
	}
	return nil
}

// localPath is the absolute path of a file of this machine. It counts from the App's file; “~/” is the
// user's folder.
func localPath(job *stages.Job, name string) (string, error) {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		home, err := os.UserHomeDir()
		return filepath.Join(home, rest), err
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	return filepath.Abs(filepath.Join(job.Dir, name))
}

// outside tells whether a path leads out of the folder that it counts from.
func outside(name string) bool { return strings.HasPrefix(name, "~/") || !filepath.IsLocal(name) }

// checkInside refuses paths of this machine beyond the folder of the App's file. They are for those
// who run strake to name, not for a Config that came with a source.
func (s *source) checkInside() error {
	var paths []string
	for _, one := range s.secrets {
		paths = append(paths, one.File)
	}
	for _, k := range s.ssh {
		paths = append(paths, k.Paths...)
	}
	for _, c := range slices.Concat(s.options.CacheFrom, s.options.CacheTo) {
		if c.Type == cacheLocal {
			paths = append(paths, c.Attrs["src"], c.Attrs["dest"])
		}
	}
	paths = append(paths, s.output.OCILayout, s.output.Tar)
	for _, p := range paths {
		if p != "" && outside(p) {
			return stages.WithHint(fmt.Errorf("%s: leads out of the folder of the App's file", p),
				"only the App's own file may name such a path: put the source into it, below “kbld: {config: …}”")
		}
	}
	return nil
}

// check tells whether the secrets and keys that this machine has to have are there.
func (s *source) check(job *stages.Job) error {
	var found []error
	for _, one := range s.secrets {
		if err := one.check(job); err != nil {
			found = append(found, s.named(err))
		}
	}
	for _, k := range s.ssh {
		if len(k.Paths) == 0 && os.Getenv("SSH_AUTH_SOCK") == "" {
			err := fmt.Errorf("ssh %s: environment variable SSH_AUTH_SOCK is not set", k.ID)
			found = append(found, stages.WithHint(s.named(err), "start an SSH agent, or name a key: “ssh: [{id: %s, paths: [FILE]}]”", k.ID))
		}
	}
	return errors.Join(found...)
}

// named adds to an error which source it is about.
func (s *source) named(err error) error {
	named := fmt.Errorf("source %s: %w", cmp.Or(s.config.Image, s.config.ImageRepo), err)
	if hint := stages.Hint(err); hint != "" {
		return stages.WithHint(named, "%s", hint)
	}
	return named
}

func (s secret) check(job *stages.Job) error {
	switch {
	case s.Env != "":
		if _, ok := os.LookupEnv(s.Env); !ok {
			return fmt.Errorf("secret %s: environment variable %s is not set", s.ID, s.Env)
		}
	case s.File != "" && !s.inSources:
		file, err := localPath(job, s.File)
		if err == nil {
			_, err = os.Stat(file)
		}
		return s.fileError(err)
	}
	return nil
}

// fileError names the file as the configuration does.
func (s secret) fileError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("secret %s: %s: no such file", s.ID, s.File)
	}
	if err != nil {
		return fmt.Errorf("secret %s: %s can't be read: %w", s.ID, s.File, err)
	}
	return nil
}

// read returns the reader of the secret's value, which nobody sees from then on.
func (s secret) read(job *stages.Job) buildkit.Secret {
	return func(ctx context.Context) ([]byte, error) {
		value, err := s.value(ctx, job)
		if err != nil {
			return nil, err
		}
		job.Hide(value)
		return value, nil
	}
}

func (s secret) value(ctx context.Context, job *stages.Job) ([]byte, error) {
	switch {
	case s.Env != "":
		return []byte(os.Getenv(s.Env)), s.check(job)
	case s.SecretRef != nil:
		data, err := job.Objects.Secret(ctx, s.SecretRef.Name)
		if err != nil {
			return nil, missing(fmt.Sprintf("secret %s", s.ID), s.SecretRef.Name, err)
		}
		value, ok := data[s.SecretRef.Key]
		if !ok {
			return nil, stages.WithHint(fmt.Errorf("secret %s: Secret %s has no key %q", s.ID, s.SecretRef.Name, s.SecretRef.Key),
				"%s", schema.Suggest(s.SecretRef.Key, sortedKeys(data)))
		}
		return value, nil
	case s.inSources:
		value, err := job.Sources.Root().ReadFile(s.File)
		return value, s.fileError(err)
	}
	file, err := localPath(job, s.File)
	if err != nil {
		return nil, err
	}
	value, err := os.ReadFile(file)
	return value, s.fileError(err)
}

// missing is the error of a Secret that couldn't be had.
func missing(field, name string, err error) error {
	err = fmt.Errorf("%s: Secret %s: %w", field, name, err)
	if !errors.Is(err, stages.ErrNoObject) {
		return err
	}
	return stages.WithHint(err, "add a Secret of that name to the App's file, or to the App's namespace in the cluster")
}

// optionsFor completes the options by what only a run knows: secrets, keys, and where this machine has
// its caches.
func (s *source) optionsFor(job *stages.Job) (buildkit.Options, error) {
	o := s.options
	if err := s.check(job); err != nil {
		return o, err
	}
	for _, one := range s.secrets {
		if o.Secrets == nil {
			o.Secrets = map[string]buildkit.Secret{}
		}
		o.Secrets[one.ID] = one.read(job)
	}
	for _, k := range s.ssh {
		if o.SSH == nil {
			o.SSH = map[string][]string{}
		}
		paths, err := k.on(job)
		if err != nil {
			return o, fmt.Errorf("ssh %s: %w", k.ID, err)
		}
		o.SSH[k.ID] = paths
	}
	var err error
	if o.CacheFrom, err = cachesFor(s.options.CacheFrom, job); err != nil {
		return o, err
	}
	o.CacheTo, err = cachesFor(s.options.CacheTo, job)
	return o, err
}

// on returns the absolute paths of keys and sockets.
func (k sshKeys) on(job *stages.Job) ([]string, error) {
	var paths []string
	for _, p := range k.Paths {
		var full string
		var err error
		if k.inSources {
			full, err = job.Sources.Path(p)
		} else {
			full, err = localPath(job, p)
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, full)
	}
	return paths, nil
}
