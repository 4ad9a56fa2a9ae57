package content

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/kustomization"
	"strake.dev/strake/stages"
)

// patched is the set with the changes of a kustomization that has no resources of its own. Paths in it
// count from its folder.
func (s *Set) patched(ctx context.Context, file string, warn func(string)) (*Set, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var k types.Kustomization
	if err := k.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "invalid Kustomization: "))
	}
	if err := patchOnly(&k); err != nil {
		return nil, stages.WithHint(fmt.Errorf("%s: %w", file, err), "a patch file is a kustomization with patches, images, labels, names or a namespace, and nothing else")
	}
	memory := filesys.MakeFsInMemory()
	if err := inline(memory, &k, filepath.Dir(file)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	const input = "objects.yaml"
	k.Resources = []string{input}
	objects, err := s.YAML()
	if err != nil {
		return nil, err
	}
	head, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := errors.Join(memory.WriteFile(input, objects), memory.WriteFile("kustomization.yaml", head)); err != nil {
		return nil, err
	}
	result, err := kustomization.Build(ctx, memory, ".", warn)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return Parse(file, result)
}

// patchOnly returns an error for a kustomization that brings objects, or changes nothing.
func patchOnly(k *types.Kustomization) error {
	for field, has := range map[string]bool{
		"resources": len(k.Resources) > 0, "bases": len(k.Bases) > 0, "components": len(k.Components) > 0, //nolint:staticcheck // old files have it
		"crds": len(k.Crds) > 0, "configMapGenerator": len(k.ConfigMapGenerator) > 0, "secretGenerator": len(k.SecretGenerator) > 0,
		"generators": len(k.Generators) > 0, "transformers": len(k.Transformers) > 0, "validators": len(k.Validators) > 0,
		"helmCharts": len(k.HelmCharts) > 0, "helmChartInflationGenerator": len(k.HelmChartInflationGenerator) > 0,
		"replacements": len(k.Replacements) > 0, "configurations": len(k.Configurations) > 0,
	} {
		if has {
			return fmt.Errorf("%s: not possible in a patch file", field)
		}
	}
	changes := len(k.Patches) + len(k.PatchesJson6902) + len(k.PatchesStrategicMerge) + len(k.Images) + len(k.Labels) + //nolint:staticcheck // old files have them
		len(k.CommonLabels) + len(k.CommonAnnotations) + len(k.Replicas) //nolint:staticcheck // old files have it
	if changes == 0 && k.Namespace == "" && k.NamePrefix == "" && k.NameSuffix == "" {
		return errors.New("found no patches")
	}
	return nil
}

// inline copies the files that patches name into a file system, under the same names as far as that goes.
func inline(to filesys.FileSystem, k *types.Kustomization, dir string) error {
	take := func(name string) error {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		return to.WriteFile(name, text)
	}
	for n := range k.Patches {
		if path := k.Patches[n].Path; path != "" {
			if err := take(path); err != nil {
				return err
			}
		}
	}
	for n := range k.PatchesJson6902 { //nolint:staticcheck // old files have it
		if path := k.PatchesJson6902[n].Path; path != "" { //nolint:staticcheck // old files have it
			if err := take(path); err != nil {
				return err
			}
		}
	}
	for _, p := range k.PatchesStrategicMerge { //nolint:staticcheck // old files have it
		if !strings.Contains(string(p), "\n") {
			if err := take(string(p)); err != nil {
				return err
			}
		}
	}
	return nil
}
