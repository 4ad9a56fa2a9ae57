package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/chart"
	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/plugins/vendir/unpack"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const (
	ociScheme = "oci://"
	// Charts named stable/… are from Helm's own repository of old.
	stablePrefix = "stable/"
	stableURL    = "https://charts.helm.sh/stable"
	// maxIndex is the size in bytes of a repository's index; the largest public ones have 20 MB.
	maxIndex = 128 << 20
	// maxChart is the size in bytes of a chart's archive; Helm itself refuses larger ones.
	maxChart = 100 << 20
)

type helmSource struct {
	HelmChart
	f *Fetcher
}

func (s *helmSource) Kind() string { return "helmChart" }

func (s *helmSource) Stale(l schema.LockedSource) string {
	if !chart.Allows(s.Version, l.HelmChart.Version) && s.Version != "" {
		return fmt.Sprintf("has the version %s, but the lock file has %s", s.Version, l.HelmChart.Version)
	}
	return ""
}

func (s *helmSource) oci() bool {
	return s.Repository != nil && strings.HasPrefix(s.Repository.URL, ociScheme)
}

func (s *helmSource) secretRef() *schema.LocalRef {
	if s.Repository == nil {
		return nil
	}
	return s.Repository.SecretRef
}

func (s *helmSource) Check(ctx context.Context, job *stages.Job) error {
	if s.oci() {
		_, _, err := s.ociClient(ctx, job)
		return err
	}
	_, _, err := login(ctx, job, s.secretRef())
	return err
}

// version is the version or constraint to use.
func (s *helmSource) version(locked *schema.LockedSource) string {
	if locked != nil {
		return locked.HelmChart.Version
	}
	return s.Version
}

func (s *helmSource) Key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error) {
	version := s.version(locked)
	switch {
	case locked != nil && locked.Digest != "":
		return version + "@" + locked.Digest, nil
	case locked != nil:
		return version, nil
	case s.oci():
		return s.ociKey(ctx, job)
	case chart.Exact(version):
		return version, nil
	}
	v, _, err := s.find(ctx, job, version)
	return v.Version, err
}

func (s *helmSource) Fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	var none schema.LockedSource
	var f *os.File
	var digest string
	var err error
	want := ""
	if locked != nil {
		want = locked.Digest
	}
	if s.oci() {
		f, digest, err = s.pull(ctx, job, s.version(locked), want)
	} else {
		f, digest, err = s.download(ctx, job, s.version(locked), want)
	}
	if locked != nil && (errors.Is(err, chart.ErrNotFound) || registry.NotFound(err)) {
		return none, stale(job, fmt.Sprintf("is version %s in the lock file, which the repository no longer has", locked.HelmChart.Version))
	}
	if err != nil {
		return none, moved(job, want, err)
	}
	defer f.Close()
	// The archive holds one folder, the chart.
	if err := unpack.New(a.tree, unpack.DefaultLimits()).Stripped(1).Archive(ctx, f, ""); err != nil {
		return none, fmt.Errorf("chart %s: %w", s.Name, err)
	}
	meta, err := s.meta(a)
	if err != nil {
		return none, fmt.Errorf("chart %s: %w", s.Name, err)
	}
	entry := &vendirconf.LockDirectoryContentsHelmChart{Version: meta.Version, AppVersion: meta.AppVersion}
	if locked != nil && *entry != *locked.HelmChart {
		return none, stale(job, fmt.Sprintf("is version %s of the app %s, but the lock file has version %s of the app %s",
			entry.Version, entry.AppVersion, locked.HelmChart.Version, locked.HelmChart.AppVersion))
	}
	stages.Log(job.Events, fmt.Sprintf("chart %s: version %s, %s", s.Name, meta.Version, digest))
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{HelmChart: entry}, Digest: digest}, nil
}

func (s *helmSource) Origin(l schema.LockedSource) stages.Origin {
	from := s.Name
	if s.Repository != nil {
		from = strings.TrimSuffix(redacted(s.Repository.URL), "/") + "/" + s.Name
	}
	return stages.Origin{Source: from, Revision: l.HelmChart.Version}
}

func (s *helmSource) meta(a *Area) (chart.Meta, error) {
	text, err := a.tree.ReadFile("Chart.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return chart.Meta{}, errors.New("has no Chart.yaml")
	}
	if err != nil {
		return chart.Meta{}, err
	}
	return chart.ParseMeta(text)
}

// repository is the address of a repository on a web server, and the chart's name in it.
func (s *helmSource) repository() (*url.URL, string, error) {
	address, chartName := stableURL, strings.TrimPrefix(s.Name, stablePrefix)
	if s.Repository != nil {
		address = s.Repository.URL
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", errors.New("repository.url: expected a URL")
	}
	return u, chartName, nil
}

// find reads the repository's index, and selects a version.
func (s *helmSource) find(ctx context.Context, job *stages.Job, version string) (chart.Version, *url.URL, error) {
	fail := func(err error) (chart.Version, *url.URL, error) { return chart.Version{}, nil, err }
	repo, chartName, err := s.repository()
	if err != nil {
		return fail(err)
	}
	index := *repo
	index.Path, index.RawPath = path.Join("/", repo.Path, "index.yaml"), ""
	f, _, err := s.get(ctx, job, &index, maxIndex, "")
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	i, err := chart.ParseIndex(f)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", download.Redacted(repo), err))
	}
	v, err := i.Select(chartName, version)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", download.Redacted(repo), err))
	}
	archive, err := v.Archive(repo)
	if err != nil {
		return fail(fmt.Errorf("%s: chart %s: %w", download.Redacted(repo), chartName, err))
	}
	return v, archive, nil
}

// download returns the chart's archive and its digest; want is the one that a lock has, or empty.
func (s *helmSource) download(ctx context.Context, job *stages.Job, version, want string) (*os.File, string, error) {
	v, archive, err := s.find(ctx, job, version)
	if err != nil {
		return nil, "", err
	}
	listed := ""
	if sum, err := hex.DecodeString(strings.TrimPrefix(v.Digest, digestPrefix)); err == nil && len(sum) == sha256.Size {
		listed = digestPrefix + hex.EncodeToString(sum)
	}
	if want != "" && listed != "" && want != listed {
		return nil, "", &cache.MismatchError{Want: want, Got: listed}
	}
	return s.get(ctx, job, archive, maxChart, cmp.Or(want, listed))
}

const digestPrefix = "sha256:"

// get returns a file of the repository and its digest. Only the repository's own server sees the
// credentials.
func (s *helmSource) get(ctx context.Context, job *stages.Job, u *url.URL, limit int64, want string) (*os.File, string, error) {
	username, password, err := login(ctx, job, s.secretRef())
	if err != nil {
		return nil, "", err
	}
	repo, _, err := s.repository()
	if err != nil {
		return nil, "", err
	}
	if username == "" && password == "" && repo.User != nil {
		username = repo.User.Username()
		password, _ = repo.User.Password()
	}
	if !download.SameOrigin(u, repo) {
		username, password = "", ""
	}
	f, digest, err := s.f.obtain(ctx, job, webFile{
		request: download.Request{URL: u.String(), Username: username, Password: password, Max: limit},
		secret:  username != "" || password != "" || u.User != nil || u.RawQuery != "",
		shown:   download.Redacted(u), task: "download", want: want,
	})
	return f, digest, advise(err, s.secretRef() != nil)
}
