package sops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/internal/sopsfile"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Config is the configuration of a sops step, as kapp-controller's App has it:
// https://carvel.dev/kapp-controller/docs/latest/app-spec/.
type Config struct {
	// Age decrypts with age keys.
	Age *KeySource `json:"age,omitempty"`
	// PGP decrypts with OpenPGP keys.
	PGP *KeySource `json:"pgp,omitempty"`
	// Paths are files and folders of the App's folder, in which files that end in .sops.yml or
	// .sops.yaml are decrypted; default: the whole folder.
	Paths []string `json:"paths,omitempty"`
}

// A KeySource says where private keys are.
type KeySource struct {
	// PrivateKeysSecretRef names a Secret; each of its values holds keys.
	PrivateKeysSecretRef *schema.LocalRef `json:"privateKeysSecretRef" required:"true"`
}

// Validate checks that there is one kind of key, and the paths.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if (c.Age == nil) == (c.PGP == nil) {
		d := n.Errorf("expected exactly one of age, pgp")
		d.Hint = "for example “age: {privateKeysSecretRef: {name: age-keys}}”"
		found = append(found, d)
	}
	for i, item := range n.Get("paths").Items() {
		found.Collect(item.Pos(), item.Path(), appvalues.CheckPath(item.Pos(), item.Path(), c.Paths[i]))
	}
	return found.Err()
}

// Plugin returns the template plugin “sops”.
func Plugin() stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Template,
		Name:    "sops",
		Doc:     "Decrypts *.sops.yml files for later template steps, in memory.",
		Version: "1",
	}, func(c Config) (stages.Step, error) { return &step{config: c}, nil })
}

type step struct{ config Config }

// Run decrypts the files. It has no key and so is run each time: nothing of it is kept.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	if job.Manifests != nil {
		return stages.Result{}, stages.WithHint(errors.New("sops decrypts files of the App's folder, and can't go on from the manifests so far"),
			"put it before the other template steps")
	}
	keys, err := s.keys(ctx, job)
	if err != nil {
		return stages.Result{}, err
	}
	names, err := s.files(ctx, job.Sources)
	if err != nil {
		return stages.Result{}, err
	}
	if len(names) == 0 {
		stages.Warn(job.Events, "there is no file whose name ends in .sops.yml or .sops.yaml")
	}
	over := &stages.Overlay{Files: map[string][]byte{}, Hidden: map[string]bool{}}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return stages.Result{}, err
		}
		data, err := fs.ReadFile(job.Sources.FS(), name)
		if err != nil {
			return stages.Result{}, err
		}
		plain, err := sopsfile.Decrypt(data, keys, job.Hide)
		if err != nil {
			return stages.Result{}, fmt.Errorf("%s: %w", name, err)
		}
		over.Files[plainName(name)], over.Hidden[name] = plain, true
	}
	stages.Log(job.Events, fmt.Sprintf("decrypted in memory: %s", strings.Join(names, ", ")))
	return stages.Result{Overlay: over}, nil
}

// keys reads the private keys, all values of the Secret in order of its keys.
func (s *step) keys(ctx context.Context, job *stages.Job) (sopsfile.Keys, error) {
	source, field, parse := s.config.Age, "age", sopsfile.AgeKeys
	if source == nil {
		source, field, parse = s.config.PGP, "pgp", sopsfile.PGPKeys
	}
	where := fmt.Sprintf("%s.privateKeysSecretRef: Secret %s", field, source.PrivateKeysSecretRef.Name)
	data, err := job.Objects.Secret(ctx, source.PrivateKeysSecretRef.Name)
	if errors.Is(err, stages.ErrNoObject) {
		return nil, stages.WithHint(fmt.Errorf("%s: %w", where, err), "add the Secret to the App's file, or create it in the namespace %s", job.App.Namespace)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	var all []sopsfile.Keyring
	for _, key := range slices.Sorted(maps.Keys(data)) {
		found, err := parse(data[key])
		if err != nil {
			return nil, fmt.Errorf("%s, key %s: %w", where, key, err)
		}
		all = append(all, found)
	}
	return all, nil
}

// Check makes sure that the keys exist and can be read. The files are not there yet.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	_, err := s.keys(ctx, job)
	return err
}

// endings are those of encrypted files, with those of plain ones.
var endings = map[string]string{".sops.yml": ".yml", ".sops.yaml": ".yaml"}

func plainName(name string) string {
	for from, to := range endings {
		if base, ok := strings.CutSuffix(name, from); ok {
			return base + to
		}
	}
	return ""
}

// files lists the encrypted files, sorted. Symbolic links are left alone.
func (s *step) files(ctx context.Context, tree *stages.Tree) ([]string, error) {
	paths := s.config.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var names []string
	for _, p := range paths {
		clean := path.Clean(p)
		err := fs.WalkDir(tree.FS(), clean, func(name string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case e.Type().IsRegular() && plainName(name) != "":
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			if _, explained := tree.Path(clean); explained != nil {
				err = explained
			}
			return nil, stages.WithHint(fmt.Errorf("paths: %w", err), "paths count from the App's folder")
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
