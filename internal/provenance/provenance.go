// Package provenance says how an artifact came about: from which sources, by which steps, with which images. It
// is a statement of in-toto with the predicate of SLSA (https://slsa.dev/spec/v1.0/provenance), attached to the
// artifact as a referrer. Equal inputs make an equal statement.
package provenance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/referrer"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
)

const (
	// PredicateType is the type of the statements.
	PredicateType = "https://slsa.dev/provenance/v1"
	// buildType says what the parameters mean: an App of strake was run.
	buildType = "https://strake.dev/build/app/v1"
	// builderID names strake as the builder.
	builderID = "https://strake.dev/strake"
)

// A Statement is what there is to say about an artifact.
type Statement struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what the artifact was made from.
type BuildDefinition struct {
	BuildType          string     `json:"buildType"`
	ExternalParameters Parameters `json:"externalParameters"`
	// ResolvedDependencies are the sources and images.
	ResolvedDependencies []Dependency `json:"resolvedDependencies,omitempty"`
}

// Parameters are what the user has given.
type Parameters struct {
	// App is the namespace and name of the App; empty if there was none.
	App string `json:"app,omitempty"`
	// Stages are the steps that were run, in order, each with its plugin.
	Stages []string `json:"stages,omitempty"`
}

// A Dependency is a source, an image or a tool.
type Dependency struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// RunDetails are by what it was made.
type RunDetails struct {
	Builder  Builder   `json:"builder"`
	Metadata *Metadata `json:"metadata,omitempty"`
}

// A Builder is strake, with the plugins that took part.
type Builder struct {
	ID string `json:"id"`
	// Version has that of strake, by its name.
	Version map[string]string `json:"version,omitempty"`
	// Dependencies are the plugins, with their versions in their URIs.
	Dependencies []Dependency `json:"builderDependencies,omitempty"`
}

// Metadata has times only if they are reproducible.
type Metadata struct {
	StartedOn time.Time `json:"startedOn"`
}

// Inputs are what a statement is made from.
type Inputs struct {
	// App is the namespace and name of the App; empty if there was none.
	App string
	// Stages are the steps that were run, in order.
	Stages []string
	// Sources and Images are what was resolved, in any order.
	Sources, Images []Dependency
	// Strake is its version; Plugins have those of the plugins, by name.
	Strake  string
	Plugins map[string]string
	// Date is that of SOURCE_DATE_EPOCH; zero if there is none.
	Date time.Time
}

// New returns the statement of inputs.
func New(in Inputs) Statement {
	byName := func(a, b Dependency) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.URI, b.URI)) }
	plugins := make([]Dependency, 0, len(in.Plugins))
	for plugin, version := range in.Plugins {
		plugins = append(plugins, Dependency{Name: plugin, URI: "pkg:generic/strake-plugin-" + plugin + "@" + version})
	}
	slices.SortFunc(plugins, byName)
	s := Statement{
		BuildDefinition: BuildDefinition{
			BuildType:            buildType,
			ExternalParameters:   Parameters{App: in.App, Stages: in.Stages},
			ResolvedDependencies: append(slices.SortedFunc(slices.Values(in.Sources), byName), slices.SortedFunc(slices.Values(in.Images), byName)...),
		},
		RunDetails: RunDetails{Builder: Builder{ID: builderID, Dependencies: plugins}},
	}
	if in.Strake != "" {
		s.RunDetails.Builder.Version = map[string]string{"strake": in.Strake}
	}
	if !in.Date.IsZero() {
		s.RunDetails.Metadata = &Metadata{StartedOn: in.Date.UTC()}
	}
	return s
}

// Attach attaches a statement to an artifact: signed, as cosign attests, if there is a signer, else as it is. If
// there is an equal one already, nothing is written.
func Attach(ctx context.Context, client *registry.Client, artifact name.Digest, s Statement, signer *signing.Signer) (written bool, err error) {
	text, err := cosign.NewStatement(artifact, PredicateType, s)
	if err != nil {
		return false, err
	}
	if signer != nil {
		written, err = cosign.Attach(ctx, client, artifact, text, PredicateType, signer)
	} else {
		written, err = attachPlain(ctx, client, artifact, text)
	}
	if err != nil {
		return written, fmt.Errorf("%s: provenance: %w", artifact, err)
	}
	return written, nil
}

func attachPlain(ctx context.Context, client *registry.Client, artifact name.Digest, text []byte) (bool, error) {
	there, err := referrer.List(ctx, client, artifact, referrer.Types(cosign.StatementMediaType))
	if err != nil {
		return false, err
	}
	for _, f := range there {
		if f.Err == nil && string(f.Content) == string(text) {
			return false, nil
		}
	}
	_, err = referrer.Attach(ctx, client, artifact, referrer.Document{
		Type: cosign.StatementMediaType, Content: text, Annotations: map[string]string{"in-toto.io/predicate-type": PredicateType},
	})
	return err == nil, err
}

// Found is a statement that is attached to an artifact.
type Found struct {
	// Ref is the statement's own manifest.
	Ref name.Digest
	Statement
	// Signed tells whether it has a signature; who has signed isn't looked at here.
	Signed bool
}

// Read returns the statements about an artifact, of any builder. What can't be read as one is left out.
func Read(ctx context.Context, client *registry.Client, artifact name.Digest) ([]Found, error) {
	there, err := referrer.List(ctx, client, artifact, func(t string) bool { return t == cosign.StatementMediaType || cosign.IsBundle(t) })
	if err != nil {
		return nil, fmt.Errorf("%s: provenance: %w", artifact, err)
	}
	var found []Found
	for _, d := range there {
		if d.Err != nil {
			continue
		}
		f := Found{Ref: d.Ref, Signed: cosign.IsBundle(d.Type)}
		parse := cosign.ParseStatement
		if f.Signed {
			parse = cosign.Peek
		}
		s, err := parse(d.Content, artifact)
		if err != nil || s.PredicateType != PredicateType || json.Unmarshal(s.Predicate, &f.Statement) != nil {
			continue
		}
		found = append(found, f)
	}
	return found, nil
}

// Image is the dependency that an image by its digest is; what names it is what the manifests had.
func Image(what, ref string) Dependency {
	d := Dependency{Name: what, URI: "oci://" + ref}
	if _, digest, ok := strings.Cut(ref, "@"); ok {
		if algorithm, hex, ok := strings.Cut(digest, ":"); ok {
			d.Digest = map[string]string{algorithm: hex}
		}
	}
	return d
}
