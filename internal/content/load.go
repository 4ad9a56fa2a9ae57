package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"strake.dev/strake/internal/kustomization"
	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/stages"
)

// Inputs say where the objects of a set come from. All of them together make the set.
type Inputs struct {
	// Files are files with manifests, folders of which all .yaml and .yml files are taken, and “-”
	// for Stdin.
	Files []string
	// Kustomize is a folder with a kustomization; empty for none.
	Kustomize string
	// Streams are manifests that were read already.
	Streams []Stream
	// Patches are kustomizations whose patches, names, labels and images change the objects of all
	// others, one after the other.
	Patches []string
	Stdin   io.Reader
	// Warn is told what kustomize warns of.
	Warn func(string)
}

// A Stream is a text of manifests with its name for errors.
type Stream struct {
	Name string
	Text []byte
}

// Load reads a set. Relative paths count from the working directory. Whatever isn't a Kubernetes object
// is an error; kustomizations that lie among files are passed over.
func Load(ctx context.Context, in Inputs) (*Set, error) {
	var all []*unstructured.Unstructured
	add := func(name string, text []byte) error {
		objects, err := manifest.Parse(name, text)
		for _, o := range objects {
			if !isKustomization(o) {
				all = append(all, o)
			}
		}
		return err
	}
	if in.Kustomize != "" {
		text, err := buildFolder(ctx, in)
		if err != nil {
			return nil, err
		}
		if err := add("kustomization "+in.Kustomize, text); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, name := range in.Files {
		errs = append(errs, in.file(ctx, name, add))
	}
	for _, s := range in.Streams {
		errs = append(errs, add(s.Name, s.Text))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	set, err := NewSet(all)
	for _, p := range in.Patches {
		if err != nil {
			return nil, err
		}
		set, err = set.patched(ctx, p, in.Warn)
	}
	return set, err
}

func isKustomization(o *unstructured.Unstructured) bool {
	group, _, _ := strings.Cut(o.GetAPIVersion(), "/")
	return group == "kustomize.config.k8s.io" && (o.GetKind() == "Kustomization" || o.GetKind() == "Component")
}

// file reads a file, all files of a folder, or standard input.
func (in Inputs) file(ctx context.Context, name string, add func(string, []byte) error) error {
	if name == "-" {
		if in.Stdin == nil {
			return errors.New("-: there is no standard input")
		}
		text, err := io.ReadAll(in.Stdin)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return add("standard input", text)
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return add(name, text)
	}
	var errs []error
	err = filepath.WalkDir(name, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) || kustomizationFile(e.Name()) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			err = add(path, text)
		}
		errs = append(errs, err)
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// kustomizationFile tells whether a file is a kustomization by its name: its kind may be left out.
func kustomizationFile(name string) bool {
	return name == "kustomization.yaml" || name == "kustomization.yml"
}

// buildFolder builds a kustomization of the file system, as kustomize does: bases may lie anywhere, also
// in repositories.
func buildFolder(ctx context.Context, in Inputs) ([]byte, error) {
	text, err := kustomization.Build(ctx, filesys.MakeFsOnDisk(), in.Kustomize, in.warn)
	if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "unable to find one of 'kustomization.yaml'") {
		return nil, stages.WithHint(fmt.Errorf("kustomization %s: there is no kustomization.yaml", in.Kustomize), "plain manifests are given with -f")
	}
	if err != nil {
		return nil, fmt.Errorf("kustomization %s: %w", in.Kustomize, err)
	}
	return text, nil
}

func (in Inputs) warn(line string) {
	if in.Warn != nil {
		in.Warn(line)
	}
}
