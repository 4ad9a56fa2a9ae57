package source

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	versions "carvel.dev/vendir/pkg/vendir/versions/v1alpha1"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/hg"
	"strake.dev/strake/plugins/vendir/chart"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Config is one entry of an App's fetch stage: exactly one source, where it goes, and which of its files
// are taken. Its fields are those of kapp-controller's App and of vendir's contents.
type Config struct {
	// Path is the folder, in the App's folder, that the source goes to; default: 0, 1, … by position,
	// or the App's folder itself for a single source.
	Path string `json:"path,omitempty"`
	// Inline is content given right here, or in Secrets and ConfigMaps.
	Inline *Inline `json:"inline,omitempty"`
	// Image is the content of a container image.
	Image *Image `json:"image,omitempty"`
	// ImgpkgBundle is the content of a bundle that imgpkg has pushed.
	ImgpkgBundle *ImgpkgBundle `json:"imgpkgBundle,omitempty"`
	// HTTP is a file, or the content of a zip, tar or tgz archive, on a web server.
	HTTP *HTTP `json:"http,omitempty"`
	// Git is the content of a commit.
	Git *Git `json:"git,omitempty"`
	// HelmChart is a chart of a Helm repository or an OCI registry.
	HelmChart *HelmChart `json:"helmChart,omitempty"`
	// Hg is the content of a changeset of a Mercurial repository.
	Hg *Hg `json:"hg,omitempty"`
	// GithubRelease is the content of files that belong to a release on GitHub.
	GithubRelease *GithubRelease `json:"githubRelease,omitempty"`
	// Directory is a folder of this machine.
	Directory *Directory `json:"directory,omitempty"`
	// Manual is what somebody has put into a folder beside the App's file, under the path of the entry.
	Manual *Manual `json:"manual,omitempty"`

	Filter `json:",inline"`
}

// A Filter says which files of a source are taken.
type Filter struct {
	// IncludePaths are patterns of the files to take, such as config/**/*.yml; default: all.
	IncludePaths []string `json:"includePaths,omitempty"`
	// ExcludePaths are patterns of files to leave out.
	ExcludePaths []string `json:"excludePaths,omitempty"`
	// LegalPaths are patterns of files to take in any case; default: licences and notices in the topmost
	// folder.
	LegalPaths *[]string `json:"legalPaths,omitempty"`
	// NewRootPath takes one folder only, once files have been left out.
	NewRootPath string `json:"newRootPath,omitempty"`
}

// Root is the folder of the content that is taken, or empty.
func (c *Config) Root() string {
	switch {
	case c.Git != nil && c.Git.SubPath != "":
		return path.Join(c.Git.SubPath, c.NewRootPath)
	case c.HTTP != nil && c.HTTP.SubPath != "":
		return path.Join(c.HTTP.SubPath, c.NewRootPath)
	case c.Image != nil && c.Image.SubPath != "":
		return path.Join(c.Image.SubPath, c.NewRootPath)
	}
	return c.NewRootPath
}

// Inline is content without a source.
type Inline struct {
	// Paths maps paths of files to their content.
	Paths map[string]string `json:"paths,omitempty"`
	// PathsFrom adds the keys of Secrets and ConfigMaps as files.
	PathsFrom []InlineSource `json:"pathsFrom,omitempty"`
}

// InlineSource is a Secret or a ConfigMap whose keys become files.
type InlineSource struct {
	SecretRef    *InlineSourceRef `json:"secretRef,omitempty"`
	ConfigMapRef *InlineSourceRef `json:"configMapRef,omitempty"`
}

// InlineSourceRef names a Secret or ConfigMap.
type InlineSourceRef struct {
	Name string `json:"name" required:"true"`
	// DirectoryPath is the folder that the files go to; default: the source's folder.
	DirectoryPath string `json:"directoryPath,omitempty"`
}

// Image is the content of a container image.
type Image struct {
	// URL is a reference to the image, with or without tag or digest, such as registry.example.com/team/config:v1.
	URL string `json:"url" required:"true"`
	// TagSelection chooses a tag; the url has none then.
	TagSelection *versions.VersionSelection `json:"tagSelection,omitempty"`
	// SecretRef names a Secret with username and password, token, or .dockerconfigjson.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
	// SubPath takes one folder of the content only.
	SubPath string `json:"subPath,omitempty"`
	// ResponseHeaderTimeout is how many seconds the registry may take to answer; default: 30.
	ResponseHeaderTimeout int `json:"responseHeaderTimeout,omitempty"`
	// DangerousSkipTLSVerify trusts any certificate of the registry.
	DangerousSkipTLSVerify bool `json:"dangerousSkipTLSVerify,omitempty"`
}

// ImgpkgBundle is the content of a bundle that imgpkg has pushed.
type ImgpkgBundle struct {
	// Image is a reference to the bundle, with or without tag or digest.
	Image string `json:"image" required:"true"`
	// TagSelection chooses a tag; the image has none then.
	TagSelection *versions.VersionSelection `json:"tagSelection,omitempty"`
	// SecretRef names a Secret with username and password, token, or .dockerconfigjson.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
	// ResponseHeaderTimeout is how many seconds the registry may take to answer; default: 30.
	ResponseHeaderTimeout int `json:"responseHeaderTimeout,omitempty"`
	// DangerousSkipTLSVerify trusts any certificate of the registry.
	DangerousSkipTLSVerify bool `json:"dangerousSkipTLSVerify,omitempty"`
	// Recursive takes the bundles that the bundle lists, too, below .imgpkg/bundles.
	Recursive bool `json:"recursive,omitempty"`
	// AdditionalCACertificates are PEM files with certificates that the registry is trusted by.
	AdditionalCACertificates []string `json:"additionalCACertificates,omitempty"`
}

// HTTP is a file or an archive on a web server.
type HTTP struct {
	// URL is the address of a plain file, or of a zip, tar or tgz archive, which is unpacked.
	URL string `json:"url" required:"true"`
	// SHA256 is the checksum, in hex, that the downloaded file must have.
	SHA256 string `json:"sha256,omitempty"`
	// SecretRef names a Secret with username and password.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
	// SubPath takes one folder of the content only.
	SubPath string `json:"subPath,omitempty"`
	// DisableUnpack takes an archive as the file that it is.
	DisableUnpack bool `json:"disableUnpack,omitempty"`
}

// Git is the content of a commit.
type Git struct {
	// URL is the address of the repository: https, ssh, or user@host:path.
	URL string `json:"url" required:"true"`
	// Ref is a branch (origin/main), a tag, or a commit.
	Ref string `json:"ref,omitempty"`
	// RefSelection chooses a tag.
	RefSelection *versions.VersionSelection `json:"refSelection,omitempty"`
	// SecretRef names a Secret with ssh-privatekey and ssh-knownhosts, or username and password.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
	// SubPath takes one folder of the repository only.
	SubPath string `json:"subPath,omitempty"`
	// LFSSkipSmudge leaves files of git-lfs as pointers.
	LFSSkipSmudge bool `json:"lfsSkipSmudge,omitempty"`
	// ForceHTTPBasicAuth sends username and password without being asked for them.
	ForceHTTPBasicAuth bool `json:"forceHTTPBasicAuth,omitempty"`
	// Verification wants the commit, or the tag, to be signed.
	Verification *GitVerification `json:"verification,omitempty"`
	// DangerousSkipTLSVerify trusts any certificate of the server.
	DangerousSkipTLSVerify bool `json:"dangerousSkipTLSVerify,omitempty"`
	// SkipInitSubmodules leaves the folders of submodules empty.
	SkipInitSubmodules bool `json:"skipInitSubmodules,omitempty"`
	// Depth is how many commits of the history vendir's .git gets; default: all.
	Depth int `json:"depth,omitempty"`
}

// GitVerification names the keys that a commit or tag may be signed with.
type GitVerification struct {
	// PublicKeysSecretRef names a Secret whose values are public keys of OpenPGP, or of SSH.
	PublicKeysSecretRef *schema.LocalRef `json:"publicKeysSecretRef" required:"true"`
}

// Hg is the content of a changeset.
type Hg struct {
	// URL is the address of the repository: https or ssh.
	URL string `json:"url" required:"true"`
	// Ref is a changeset, a branch, a tag or a bookmark.
	Ref string `json:"ref" required:"true"`
	// Evolve loads the extensions evolve and topic.
	Evolve bool `json:"evolve,omitempty"`
	// SecretRef names a Secret with ssh-privatekey and ssh-knownhosts, or username and password.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
}

// GithubRelease are files of a release on GitHub: those that were uploaded to it, or with http one of
// another place.
type GithubRelease struct {
	// Slug is OWNER/REPOSITORY.
	Slug string `json:"slug,omitempty"`
	// Tag is the release's tag.
	Tag string `json:"tag,omitempty"`
	// TagSelection chooses a tag.
	TagSelection *versions.VersionSelection `json:"tagSelection,omitempty"`
	// Latest takes the newest release that is no prerelease.
	Latest bool `json:"latest,omitempty"`
	// URL is the release's address in GitHub's API, instead of slug and tag.
	URL string `json:"url,omitempty"`
	// Checksums are the SHA-256 of files in hex, by name; default: those in the release's text.
	Checksums map[string]string `json:"checksums,omitempty"`
	// DisableAutoChecksumValidation takes files without a checksum.
	DisableAutoChecksumValidation bool `json:"disableAutoChecksumValidation,omitempty"`
	// AssetNames are patterns of the files to take; default: all.
	AssetNames []string `json:"assetNames,omitempty"`
	// UnpackArchive takes the content of one file, an archive.
	UnpackArchive *UnpackArchive `json:"unpackArchive,omitempty"`
	// SecretRef names a Secret with a token.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
	// HTTP is a file elsewhere, in whose url {tag} stands for the release's tag.
	HTTP *HTTP `json:"http,omitempty"`
}

// UnpackArchive names an archive among the files of a release.
type UnpackArchive struct {
	Path string `json:"path" required:"true"`
}

// Manual has no fields.
type Manual struct{}

// HelmChart is a chart of a Helm repository.
type HelmChart struct {
	// Name is the chart's name in the repository.
	Name string `json:"name" required:"true"`
	// Version is a version or a constraint such as ^1.2; default: the newest version.
	Version string `json:"version,omitempty"`
	// Repository is where the chart is.
	Repository *HelmChartRepo `json:"repository,omitempty"`
	// HelmVersion is accepted for vendir's sake, and of no effect: no helm is run.
	HelmVersion string `json:"helmVersion,omitempty"`
}

// HelmChartRepo is a Helm repository.
type HelmChartRepo struct {
	// URL is an address of http or https, or oci:// for a registry.
	URL string `json:"url" required:"true"`
	// SecretRef names a Secret with username and password.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
}

// Directory is a folder of this machine.
type Directory struct {
	// Path is the folder, relative to that of the App's file, or absolute.
	Path string `json:"path" required:"true"`
	// IncludePaths are patterns of the files to take, such as config/**/*.yml; default: all.
	IncludePaths []string `json:"includePaths,omitempty"`
	// ExcludePaths are patterns of files to leave out.
	ExcludePaths []string `json:"excludePaths,omitempty"`
}

// Kinds are the keys of the sources.
func Kinds() []string {
	return []string{"inline", "image", "imgpkgBundle", "http", "git", "hg", "githubRelease", "helmChart", "directory", "manual"}
}

// Validate checks that there is exactly one source, and the path.
func (c *Config) Validate(n *schema.Node) error {
	var given []string
	for _, p := range n.Pairs() {
		if slices.Contains(Kinds(), p.Key) {
			given = append(given, p.Key)
		}
	}
	switch len(given) {
	case 1:
	case 0:
		return n.Errorf("names no source: expected one of %s", strings.Join(Kinds(), ", "))
	default:
		return n.Errorf("names %d sources (%s): expected one", len(given), strings.Join(given, ", "))
	}
	if n.Get(given[0]).IsNull() {
		return n.Get(given[0]).Errorf("is empty: expected the source's fields")
	}
	var found schema.Diagnostics
	found.Collect(n.Pos(), n.Path(), below(n, "path", c.Path))
	if c.Manual != nil && c.Path == "" {
		found = append(found, hinted(n.Errorf("expected path"), "the folder beside the App's file that holds the content"))
	}
	found.Collect(n.Pos(), n.Path(), below(n, "newRootPath", c.NewRootPath))
	checkPatterns(n, &found, "includePaths", "excludePaths", "legalPaths")
	return found.Err()
}

// checkPatterns checks lists of patterns.
func checkPatterns(n *schema.Node, found *schema.Diagnostics, keys ...string) {
	for _, key := range keys {
		for _, item := range n.Get(key).Items() {
			if !validPattern(item.Text()) {
				*found = append(*found, hinted(item.Errorf("%q is not a valid pattern", item.Text()), "for example config/**/*.yml"))
			}
		}
	}
}

// Validate checks the paths and that there is any content.
func (i *Inline) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	for _, p := range n.Get("paths").Pairs() {
		if clean, err := stages.Clean(p.Key); err != nil || clean == "." {
			d := p.Value.Errorf("expected the path of a file, relative and without “..”")
			d.Pos = p.KeyPos
			found = append(found, d)
		}
	}
	if len(i.Paths) == 0 && len(i.PathsFrom) == 0 && !n.IsNull() {
		found = append(found, n.Errorf("is empty: expected paths or pathsFrom"))
	}
	return found.Err()
}

// Validate checks that one object is named.
func (s *InlineSource) Validate(n *schema.Node) error {
	if (s.SecretRef == nil) == (s.ConfigMapRef == nil) {
		return n.Errorf("expected one of secretRef and configMapRef")
	}
	return nil
}

// Validate checks the path.
func (r *InlineSourceRef) Validate(n *schema.Node) error {
	if r.Name == "" {
		return n.Errorf("is empty: expected name")
	}
	return below(n, "directoryPath", r.DirectoryPath)
}

// Validate checks the reference and the path.
func (i *Image) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	var found schema.Diagnostics
	found.Collect(n.Pos(), n.Path(), checkReference(n, "url", i.URL, i.TagSelection))
	found.Collect(n.Pos(), n.Path(), below(n, "subPath", i.SubPath))
	return found.Err()
}

// Validate checks the reference.
func (b *ImgpkgBundle) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	return checkReference(n, "image", b.Image, b.TagSelection)
}

func checkReference(n *schema.Node, key, text string, selection *versions.VersionSelection) error {
	if selection == nil {
		if _, err := name.ParseReference(text); err != nil {
			return hinted(n.Get(key).Errorf("%q is not a valid image reference", text), "for example registry.example.com/team/config:v1")
		}
		return nil
	}
	if _, err := name.NewRepository(text); err != nil {
		return hinted(n.Get(key).Errorf("%q is not a valid repository", text), "with tagSelection, leave out tag and digest")
	}
	return checkSelection(n, "tagSelection", selection)
}

func checkSelection(n *schema.Node, key string, s *versions.VersionSelection) error {
	if s.Semver == nil {
		return hinted(n.Get(key).Errorf("expected semver"), "for example “semver: {constraints: \">=1.0.0\"}”")
	}
	if s.Semver.Constraints == "" {
		return nil
	}
	if err := checkConstraints(s.Semver.Constraints); err != nil {
		return n.Get(key).Get("semver").Get("constraints").Errorf("%q is not a valid constraint: %v", s.Semver.Constraints, err)
	}
	return nil
}

// Validate checks the address, the checksum and the path.
func (h *HTTP) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	var found schema.Diagnostics
	if err := checkURL(h.URL, "http", "https"); err != nil {
		found = append(found, n.Get("url").Errorf("%v", err))
	}
	if sum, err := hex.DecodeString(h.SHA256); h.SHA256 != "" && (err != nil || len(sum) != 32) {
		found = append(found, n.Get("sha256").Errorf("expected a SHA-256 in 64 hex digits"))
	}
	found.Collect(n.Pos(), n.Path(), below(n, "subPath", h.SubPath))
	return found.Err()
}

// Validate checks the address, the reference and the path.
func (g *Git) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	var found schema.Diagnostics
	if err := git.CheckURL(g.URL); err != nil && !isRelative(g.URL) {
		found = append(found, hinted(n.Get("url").Errorf("the address %v", err), "for example https://git.example.com/team/repo.git"))
	}
	switch {
	case g.Ref != "":
		if err := git.CheckRef(g.Ref); err != nil {
			found = append(found, n.Get("ref").Errorf("%q %v", g.Ref, err))
		}
	case g.RefSelection != nil:
		found.Collect(n.Pos(), n.Path(), checkSelection(n, "refSelection", g.RefSelection))
	default:
		found = append(found, hinted(n.Errorf("expected ref or refSelection"), "for example “ref: origin/main”"))
	}
	found.Collect(n.Pos(), n.Path(), below(n, "subPath", g.SubPath))
	if g.Depth < 0 {
		found = append(found, n.Get("depth").Errorf("expected a number of commits"))
	}
	return found.Err()
}

// Validate checks the address and the reference.
func (h *Hg) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	var found schema.Diagnostics
	if err := hg.CheckURL(h.URL); err != nil {
		found = append(found, hinted(n.Get("url").Errorf("the address %v", err), "for example https://hg.example.com/team/repo"))
	}
	if err := hg.CheckRef(h.Ref); err != nil {
		found = append(found, n.Get("ref").Errorf("%q %v", h.Ref, err))
	}
	return found.Err()
}

// isRelative tells whether a repository's address is a path that counts from the App's file.
func isRelative(address string) bool {
	return strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../")
}

// Validate checks that a release is named, by one of the ways for that, and the files.
func (g *GithubRelease) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	var found schema.Diagnostics
	switch slug := strings.Split(g.Slug, "/"); {
	case g.URL != "":
		if err := checkURL(g.URL, "http", "https"); err != nil {
			found = append(found, n.Get("url").Errorf("%v", err))
		}
	case len(slug) != 2 || slug[0] == "" || slug[1] == "" || strings.ContainsAny(g.Slug, "?#% "):
		found = append(found, hinted(n.Get("slug").Errorf("%q is no repository", g.Slug), "expected OWNER/REPOSITORY"))
	case g.Tag == "" && g.TagSelection == nil && !g.Latest:
		found = append(found, hinted(n.Errorf("expected tag, tagSelection, latest or url"), "for example “tag: v1.0.0”"))
	case g.Tag == "" && g.TagSelection != nil:
		found.Collect(n.Pos(), n.Path(), checkSelection(n, "tagSelection", g.TagSelection))
	}
	for _, p := range n.Get("checksums").Pairs() {
		if sum, err := hex.DecodeString(p.Value.Text()); err != nil || len(sum) != 32 {
			found = append(found, p.Value.Errorf("expected a SHA-256 in 64 hex digits"))
		}
	}
	checkPatterns(n, &found, "assetNames")
	if g.UnpackArchive != nil {
		found.Collect(n.Pos(), n.Path(), below(n.Get("unpackArchive"), "path", g.UnpackArchive.Path))
	}
	return found.Err()
}

// Validate checks the name, the version and the repository together.
func (h *HelmChart) Validate(n *schema.Node) error {
	if n.IsNull() {
		return nil // the entry reports it
	}
	oci := h.Repository != nil && strings.HasPrefix(h.Repository.URL, ociScheme)
	switch {
	case h.Repository == nil && !strings.HasPrefix(h.Name, stablePrefix):
		return hinted(n.Errorf("expected repository"), "for example “repository: {url: https://charts.example.com}”")
	case oci && h.Version == "":
		return hinted(n.Errorf("expected version: charts in a registry have no newest one"), "for example “version: 1.2.3”")
	case h.Repository != nil && (strings.HasPrefix(h.Name, "/") || slices.Contains(strings.Split(h.Name, "/"), "..")):
		return n.Get("name").Errorf("%q is not a valid chart name", h.Name)
	}
	if h.Version == "" {
		return nil
	}
	if err := chart.ValidConstraint(h.Version); err != nil {
		return n.Get("version").Errorf("%q is neither a version nor a constraint", h.Version)
	}
	return nil
}

// Validate checks the address.
func (r *HelmChartRepo) Validate(n *schema.Node) error {
	if n.IsNull() {
		return n.Errorf("is empty: expected url")
	}
	if rest, ok := strings.CutPrefix(r.URL, ociScheme); ok {
		if _, err := name.NewRepository(strings.TrimSuffix(rest, "/") + "/chart"); err != nil {
			return n.Get("url").Errorf("%q is not the address of a registry", r.URL)
		}
		return nil
	}
	if err := checkURL(r.URL, "http", "https"); err != nil {
		return hinted(n.Get("url").Errorf("%v", err), "https://…, or oci://… for a registry")
	}
	return nil
}

// Validate checks the patterns.
func (d *Directory) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	checkPatterns(n, &found, "includePaths", "excludePaths")
	return found.Err()
}

// validPattern checks the syntax of a pattern. The library that matches patterns finds errors only
// as far as it gets with a name.
func validPattern(pattern string) bool {
	for element := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(element, ""); err != nil {
			return false
		}
	}
	return pattern != ""
}

// below checks that a path stays below the folder it counts from.
func below(n *schema.Node, key, p string) error {
	if _, err := stages.Clean(cmp.Or(p, ".")); err != nil {
		return n.Get(key).Errorf("expected a relative path that leads to no other place by “..”, found %q", p)
	}
	return nil
}

// checkURL tells what is wrong with an address, without repeating it: it may hold credentials.
func checkURL(text string, schemes ...string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("expected a URL")
	case !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("expected a URL of the scheme %s, found %q", strings.Join(schemes, " or "), u.Scheme)
	case u.Hostname() == "":
		return errors.New("expected a URL with a host")
	}
	return nil
}

func hinted(d schema.Diagnostic, hint string) schema.Diagnostic {
	d.Hint = hint
	return d
}

// folderOf is a path of the configuration in its cleaned form, “.” for none.
func folderOf(p string) string { return path.Clean(cmp.Or(p, ".")) }
