package buildkit_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
)

// A statement is an in-toto statement.
type statement struct {
	Type          string `json:"_type"`
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	Predicate json.RawMessage `json:"predicate"`
}

// statements reads the attestations of an index as any tool would, by what they are about.
func statements(t *testing.T, index v1.ImageIndex, manifests []v1.Descriptor) map[string][]statement {
	t.Helper()
	found := map[string][]statement{}
	for _, m := range manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			continue
		}
		about := m.Annotations["vnd.docker.reference.digest"]
		img, err := index.Image(m.Digest)
		layers, err2 := must(t, img, err).Layers()
		for _, layer := range must(t, layers, err2) {
			if mt, err := layer.MediaType(); err != nil || mt != "application/vnd.in-toto+json" {
				t.Errorf("media type %s, %v", mt, err)
			}
			r, err := layer.Compressed()
			must(t, r, err)
			var s statement
			err = json.NewDecoder(r).Decode(&s)
			r.Close()
			found[about] = append(found[about], must(t, s, err))
			if !strings.HasPrefix(s.Type, "https://in-toto.io/Statement/") || len(s.Subject) == 0 || "sha256:"+s.Subject[0].Digest["sha256"] != about {
				t.Errorf("statement of %s: %s about %v", about, s.Type, s.Subject)
			}
		}
	}
	return found
}

func TestAttestations(t *testing.T) {
	b := newBench(t)
	// A generator of BuildKit's SBOM protocol: it writes what it finds below BUILDKIT_SCAN_SOURCE.
	generator := b
	generator.repo = b.repo + "-generator"
	scanner, _, err := generator.make(t.Context(), t, map[string]string{
		"Dockerfile": "FROM BASE\nCOPY scan.sh /scan.sh\nENTRYPOINT [\"/scan.sh\"]\n",
		"scan.sh": `#!/bin/sh
set -e
cat > "$BUILDKIT_SCAN_DESTINATION/app.spdx.json" <<EOT
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
 "predicate": {"spdxVersion": "SPDX-2.3", "name": "app", "files": [{"fileName": "$(cd "$BUILDKIT_SCAN_SOURCE" && ls hello)"}]}}
EOT
`,
	}, buildkit.Source{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	options := buildkit.Options{
		Provenance: "max", SBOM: generator.repo + "@" + scanner.Digest, Args: map[string]string{"V": "7"}, Platforms: []string{"linux/amd64", "linux/arm64"},
	}
	files := hello("one")
	files["Dockerfile"] = "FROM scratch\nARG V\nCOPY hello /\n"
	result, _, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	if err != nil {
		t.Fatal(err)
	}
	index, manifests := b.index(t, result.Digest)
	if !slices.Equal(result.Platforms, options.Platforms) {
		t.Errorf("platforms: %v", result.Platforms)
	}
	found := statements(t, index, manifests)
	for _, m := range manifests[:2] {
		kinds := map[string]json.RawMessage{}
		for _, s := range found[m.Digest.String()] {
			kinds[s.PredicateType] = s.Predicate
		}
		var sbom struct {
			SPDXVersion string `json:"spdxVersion"`
			Files       []struct {
				FileName string `json:"fileName"`
			} `json:"files"`
		}
		if err := json.Unmarshal(kinds["https://spdx.dev/Document"], &sbom); err != nil || sbom.SPDXVersion != "SPDX-2.3" || len(sbom.Files) != 1 || sbom.Files[0].FileName != "hello" {
			t.Errorf("SBOM of %s: %+v, %v", m.Platform, sbom, err)
		}
		var slsa struct {
			BuildDefinition struct {
				BuildType          string `json:"buildType"`
				ExternalParameters struct {
					Request struct {
						Args map[string]string `json:"args"`
					} `json:"request"`
				} `json:"externalParameters"`
			} `json:"buildDefinition"`
			RunDetails struct {
				Metadata map[string]any `json:"metadata"`
			} `json:"runDetails"`
		}
		if err := json.Unmarshal(kinds["https://slsa.dev/provenance/v1"], &slsa); err != nil {
			t.Fatalf("provenance of %s: %v, kinds %v", m.Platform, err, kinds)
		}
		if !strings.Contains(slsa.BuildDefinition.BuildType, "buildkit") || slsa.BuildDefinition.ExternalParameters.Request.Args["build-arg:V"] != "7" || slsa.RunDetails.Metadata == nil {
			t.Errorf("provenance of %s: %+v", m.Platform, slsa)
		}
	}
}

func TestColdDaemons(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := map[string]string{
		"Dockerfile": "FROM BASE AS build\nCOPY . /src\nRUN head -c 100 /dev/zero > /out; cat /src/main >> /out; mkdir -p /d/e; ln -s out /link\nFROM BASE\nCOPY --from=build /out /d /\nRUN echo slow > /made\n",
		"main":       "package main", "run.sh": "#!/bin/sh\n", "sub/dir/file": "x",
	}
	options := buildkit.Options{Platforms: []string{"linux/amd64"}}
	first, second := buildkittest.Start(t), buildkittest.Start(t)

	t.Run("one digest", func(t *testing.T) {
		var digests []string
		for _, server := range []*buildkittest.Server{first, second} {
			b := b
			b.address = server.Address
			dir := filepath.Join(t.TempDir(), "deep", "er")
			b.write(t, dir, files)
			if err := os.Chmod(filepath.Join(dir, "main"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := buildkit.Source{Root: buildkittest.Root(t, dir), Options: options}
			result, _, err := b.makeIn(t.Context(), t, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if result.Cached != 0 {
				t.Errorf("%d steps of a cold daemon were cached", result.Cached)
			}
			digests = append(digests, result.Digest)
		}
		if digests[0] != digests[1] {
			t.Errorf("two cold daemons, two folders: %v", digests)
		}
		t.Log(digests[0])
	})

	folder := filepath.Join(t.TempDir(), "cache")
	ref := b.repo + ":cache"
	for name, cache := range map[string]struct{ to, from buildkit.Cache }{
		"folder": {
			buildkit.Cache{Type: "local", Attrs: map[string]string{"dest": folder, "mode": "max"}},
			buildkit.Cache{Type: "local", Attrs: map[string]string{"src": folder}},
		},
		"registry": {
			buildkit.Cache{Type: "registry", Attrs: map[string]string{"ref": ref, "mode": "max"}},
			buildkit.Cache{Type: "registry", Attrs: map[string]string{"ref": ref}},
		},
		"inline": {
			buildkit.Cache{Type: "inline"},
			buildkit.Cache{Type: "registry", Attrs: map[string]string{"ref": b.repo + ":image"}},
		},
	} {
		t.Run("cache in "+name, func(t *testing.T) {
			files := map[string]string{"Dockerfile": "FROM BASE\nCOPY main /\nRUN echo " + name + " > /made; cat main\n", "main": name}
			warm := b
			warm.address = first.Address
			options := buildkit.Options{CacheTo: []buildkit.Cache{cache.to}, CacheFrom: []buildkit.Cache{cache.from}}
			made, rec, err := warm.make(t.Context(), t, files, buildkit.Source{Options: options}, func(o *buildkit.Output) {
				o.Push = append(o.Push, o.Push[0].Context().Tag("image"))
			})
			if err != nil {
				t.Fatal(err)
			}
			if missed := strings.Contains(rec.told(t), "there is no cache in "+folder+" yet"); missed != (name == "folder") {
				t.Errorf("told of a missing cache: %v", missed)
			}
			cold := b
			// Cold means that it has not even the base image.
			cold.address = buildkittest.Start(t).Address
			options.CacheTo = nil
			again, rec, err := cold.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if again.Digest != made.Digest && name != "inline" || again.Steps != 2 || again.Cached != 2 {
				t.Errorf("cold: %s, before %s; %d of %d steps cached: COPY %v, RUN %v", again.Digest, made.Digest, again.Cached, again.Steps, rec.states("COPY"), rec.states("RUN"))
			}
		})
	}
}
