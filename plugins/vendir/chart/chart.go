// Package chart finds Helm charts in repositories: which version a constraint selects, and where its
// archive is. It needs no helm binary.
package chart

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// An Index lists the charts of a repository: https://helm.sh/docs/topics/chart_repository/.
type Index struct {
	Entries map[string][]Version `yaml:"entries"`
}

// A Version is one version of a chart in an [Index].
type Version struct {
	Version string   `yaml:"version"`
	URLs    []string `yaml:"urls"`
	// Digest is the SHA-256 of the archive in hex; repositories may leave it out.
	Digest string `yaml:"digest"`
}

// ParseIndex reads an index.yaml.
func ParseIndex(r io.Reader) (*Index, error) {
	var i Index
	if err := yaml.NewDecoder(r).Decode(&i); err != nil {
		return nil, fmt.Errorf("reading the repository's index.yaml: %w", err)
	}
	return &i, nil
}

// ErrNotFound says that a repository doesn't have the chart, or no version of it that was asked for.
var ErrNotFound = errors.New("not found in the repository")

// Select returns the version of a chart that a constraint selects, as helm has it.
func (i *Index) Select(name, constraint string) (Version, error) {
	versions, ok := i.Entries[name]
	if !ok || len(versions) == 0 {
		return Version{}, fmt.Errorf("chart %s: %w", name, ErrNotFound)
	}
	texts := make([]string, len(versions))
	for n, v := range versions {
		texts[n] = v.Version
	}
	best, err := Highest(texts, constraint)
	if err != nil {
		return Version{}, fmt.Errorf("chart %s: %w", name, err)
	}
	return versions[slices.Index(texts, best)], nil
}

// Highest returns the version that a constraint selects, as helm has it: the one that is written
// exactly so, else the highest that the constraint allows; an empty constraint allows all but
// prereleases. Versions that aren't semantic versions are passed over.
func Highest(versions []string, constraint string) (string, error) {
	if constraint == "" {
		constraint = "*"
	}
	if slices.Contains(versions, constraint) {
		return constraint, nil
	}
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return "", fmt.Errorf("version %q: %w", constraint, err)
	}
	best, text := (*semver.Version)(nil), ""
	for _, t := range versions {
		v, err := semver.NewVersion(t)
		if err == nil && c.Check(v) && (best == nil || v.GreaterThan(best)) {
			best, text = v, t
		}
	}
	if best == nil {
		return "", fmt.Errorf("version %s: %w", constraint, ErrNotFound)
	}
	return text, nil
}

// Exact tells whether a constraint names one version only.
func Exact(constraint string) bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(constraint, "v"))
	return err == nil
}

// ValidConstraint checks a constraint's syntax.
func ValidConstraint(constraint string) error {
	_, err := semver.NewConstraint(constraint)
	return err
}

// Allows tells whether a constraint allows a version.
func Allows(constraint, version string) bool {
	_, err := Highest([]string{version}, constraint)
	return err == nil
}

// Archive returns the address of the version's archive; one that is relative counts from the
// repository's address.
func (v Version) Archive(repository *url.URL) (*url.URL, error) {
	if len(v.URLs) == 0 {
		return nil, fmt.Errorf("version %s has no address in the repository's index.yaml", v.Version)
	}
	u, err := url.Parse(v.URLs[0])
	if err != nil {
		return nil, fmt.Errorf("version %s has an address that is not a URL in the repository's index.yaml", v.Version)
	}
	if u.IsAbs() {
		if u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("version %s has an address of the scheme %q in the repository's index.yaml, expected http or https", v.Version, u.Scheme)
		}
		return u, nil
	}
	base := *repository
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	base.RawPath = ""
	r := base.ResolveReference(u)
	// What authorises reading the index, such as a token in the query, authorises reading the chart.
	if r.RawQuery == "" {
		r.RawQuery = repository.RawQuery
	}
	return r, nil
}

// Meta is what a chart says of itself.
type Meta struct {
	Name       string
	Version    string
	AppVersion string
}

// ParseMeta reads a Chart.yaml.
func ParseMeta(data []byte) (Meta, error) {
	var m Meta
	if err := sigsyaml.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("reading Chart.yaml: %w", err)
	}
	if m.Version == "" {
		return m, errors.New("no version in Chart.yaml")
	}
	return m, nil
}
