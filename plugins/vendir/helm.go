package vendir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

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
	registry *registry.Client
	web      *download.Client
}

func (s *helmSource) kind() string    { return "helmChart" }
func (s *helmSource) subPath() string { return "" }

func (s *helmSource) stale(l schema.LockedSource) string {
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

func (s *helmSource) check(ctx context.Context, job *stages.Job) error {
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

func (s *helmSource) key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error) {
	version := s.version(locked)
	switch {
	case locked != nil:
		return version, nil
	case s.oci():
		return s.ociKey(ctx, job)
	case chart.Exact(version):
		return version, nil
	}
	f, err := os.CreateTemp(job.Temp, "strake-helm-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	v, _, err := s.find(ctx, job, f, version)
	return v.Version, err
}

func (s *helmSource) fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *area) (schema.LockedSource, error) {
	var none schema.LockedSource
	f, err := a.temp("chart")
	if err != nil {
		return none, err
	}
	defer f.Close()
	if s.oci() {
		err = s.pull(ctx, job, f, s.version(locked))
	} else {
		err = s.download(ctx, job, f, s.version(locked))
	}
	if locked != nil && (errors.Is(err, chart.ErrNotFound) || registry.NotFound(err)) {
		return none, stale(job, fmt.Sprintf("is version %s in the lock file, which the repository no longer has", locked.HelmChart.Version))
	}
	if err != nil {
		return none, err
	}
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
	stages.Log(job.Events, fmt.Sprintf("chart %s: version %s", s.Name, meta.Version))
	return schema.LockedSource{HelmChart: entry}, nil
}

func (s *helmSource) meta(a *area) (chart.Meta, error) {
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

// find reads the repository's index by way of f, and selects a version.
func (s *helmSource) find(ctx context.Context, job *stages.Job, f *os.File, version string) (chart.Version, *url.URL, error) {
	fail := func(err error) (chart.Version, *url.URL, error) { return chart.Version{}, nil, err }
	repo, chartName, err := s.repository()
	if err != nil {
		return fail(err)
	}
	index := *repo
	index.Path, index.RawPath = path.Join("/", repo.Path, "index.yaml"), ""
	if err := s.get(ctx, job, f, &index, maxIndex, "", nil); err != nil {
		return fail(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fail(err)
	}
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

// download gets the chart's archive into f.
func (s *helmSource) download(ctx context.Context, job *stages.Job, f *os.File, version string) error {
	v, archive, err := s.find(ctx, job, f, version)
	if err != nil {
		return err
	}
	t := startTask(job.Events, "download", download.Redacted(archive))
	err = s.get(ctx, job, f, archive, maxChart, v.Digest, t.bytes)
	t.end(err)
	return err
}

// get downloads from the repository. Only the repository's own server sees the credentials.
func (s *helmSource) get(ctx context.Context, job *stages.Job, f *os.File, u *url.URL, limit int64, sum string, progress func(int64, int64)) error {
	username, password, err := login(ctx, job, s.secretRef())
	if err != nil {
		return err
	}
	repo, _, err := s.repository()
	if err != nil {
		return err
	}
	if username == "" && password == "" && repo.User != nil {
		username = repo.User.Username()
		password, _ = repo.User.Password()
	}
	if !download.SameOrigin(u, repo) {
		username, password = "", ""
	}
	_, err = s.web.File(ctx, f, download.Request{
		URL: u.String(), Username: username, Password: password, Max: limit, SHA256: strings.TrimPrefix(sum, "sha256:"), Progress: progress,
	})
	return advise(err, s.secretRef() != nil)
}
