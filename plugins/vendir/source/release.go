package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/bmatcuk/doublestar"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/plugins/vendir/unpack"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// githubAPI is the address of GitHub's API: https://docs.github.com/en/rest/releases.
const githubAPI = "https://api.github.com"

type releaseSource struct {
	GithubRelease
	f *Fetcher
}

// A release is what the API tells of one.
type release struct {
	Tag    string  `json:"tag_name"`
	URL    string  `json:"url"`
	Body   string  `json:"body"`
	Assets []asset `json:"assets"`
}

// An asset is a file of a release. Its URL is in the API, and leads to the content.
type asset struct {
	URL     string `json:"url"`
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	Updated string `json:"updated_at"`
}

func (s *releaseSource) Kind() string { return "githubRelease" }

func (s *releaseSource) Stale(l schema.LockedSource) string {
	switch {
	case l.GithubRelease.URL == "":
		return "has no release in the lock file"
	case s.Tag != "" && s.Tag != l.GithubRelease.Tag:
		return fmt.Sprintf("has the tag %s, but the lock file has %s", s.Tag, l.GithubRelease.Tag)
	case s.TagSelection != nil && !allows(*s.TagSelection, l.GithubRelease.Tag):
		return fmt.Sprintf("selects %s, but the lock file has the tag %s", s.TagSelection.Description(), l.GithubRelease.Tag)
	case s.Slug != "" && !strings.Contains(strings.ToLower(l.GithubRelease.URL), "/"+strings.ToLower(s.Slug)+"/"):
		return fmt.Sprintf("is of %s, but the lock file has %s", s.Slug, l.GithubRelease.URL)
	}
	return ""
}

func (s *releaseSource) Check(ctx context.Context, job *stages.Job) error {
	if s.HTTP != nil {
		if _, _, err := login(ctx, job, s.HTTP.SecretRef); err != nil {
			return fmt.Errorf("http: %w", err)
		}
	}
	_, err := s.token(ctx, job)
	return err
}

// token returns the token of the Secret, or the program's own, which is for GitHub only.
func (s *releaseSource) token(ctx context.Context, job *stages.Job) (string, error) {
	if s.SecretRef == nil {
		if s.URL != "" && !sameOrigin(s.URL, s.api()) {
			return "", nil
		}
		return s.f.deps.GitHubToken, nil
	}
	data, err := secret(ctx, job, s.SecretRef, "token")
	return strings.TrimSpace(string(data["token"])), err
}

func (s *releaseSource) api() string { return cmp.Or(s.f.deps.GitHubAPI, githubAPI) }

func sameOrigin(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && download.SameOrigin(ua, ub)
}

// maxAnswer is the size in bytes of an answer of the API.
const maxAnswer = 32 << 20

// ask asks the API for something.
func (s *releaseSource) ask(ctx context.Context, job *stages.Job, address string, into any) error {
	token, err := s.token(ctx, job)
	if err != nil {
		return err
	}
	f, _, err := s.f.obtain(ctx, job, s.file(address, token, "application/vnd.github+json", maxAnswer))
	if err != nil {
		return s.advise(err)
	}
	defer f.Close()
	if err := json.NewDecoder(f).Decode(into); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", redacted(address), err)
	}
	return nil
}

func (s *releaseSource) file(address, token, accept string, limit int64) webFile {
	header := http.Header{"Accept": {accept}}
	if token != "" {
		header.Set("Authorization", "token "+token)
	}
	return webFile{
		request: download.Request{URL: address, Header: header, Max: limit},
		secret:  token != "", shown: redacted(address), task: "download",
	}
}

func (s *releaseSource) advise(err error) error {
	var se *download.StatusError
	switch {
	case !errors.As(err, &se):
		return err
	case se.Code == http.StatusUnauthorized, se.Code == http.StatusForbidden, se.Code == http.StatusTooManyRequests:
		return stages.WithHint(err, "GitHub gives more answers to those it knows: give a secretRef with a token, or set VENDIR_GITHUB_API_TOKEN")
	case se.Code == http.StatusNotFound && s.Latest:
		return stages.WithHint(err, "check the slug; prereleases don't count as latest")
	case se.Code == http.StatusNotFound:
		return stages.WithHint(err, "check slug and tag; a private repository needs a token")
	}
	return err
}

// find returns the release that is locked or configured.
func (s *releaseSource) find(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (release, error) {
	address := s.api() + "/repos/" + s.Slug + "/releases/"
	switch {
	case locked != nil:
		address = locked.GithubRelease.URL
	case s.URL != "":
		address = s.URL
	case s.Tag != "":
		address += "tags/" + url.PathEscape(s.Tag)
	case s.TagSelection != nil:
		tags, err := s.tags(ctx, job)
		if err != nil {
			return release{}, err
		}
		tag, err := choose(tags, *s.TagSelection)
		if err != nil {
			return release{}, fmt.Errorf("tagSelection: %s: %w", s.Slug, err)
		}
		address += "tags/" + url.PathEscape(tag)
	default:
		address += "latest"
	}
	var r release
	if err := s.ask(ctx, job, address, &r); err != nil {
		return r, err
	}
	if r.URL == "" || r.Tag == "" {
		return r, fmt.Errorf("%s: the answer is no release: it lacks url or tag_name", redacted(address))
	}
	return r, nil
}

const (
	tagsPerPage = 100 // the most that the API gives at once
	maxTagPages = 200
)

func (s *releaseSource) tags(ctx context.Context, job *stages.Job) ([]string, error) {
	var all []string
	for page := 1; page <= maxTagPages; page++ {
		var tags []struct{ Name string }
		address := fmt.Sprintf("%s/repos/%s/tags?per_page=%d&page=%d", s.api(), s.Slug, tagsPerPage, page)
		if err := s.ask(ctx, job, address, &tags); err != nil {
			return nil, err
		}
		for _, t := range tags {
			all = append(all, t.Name)
		}
		if len(tags) < tagsPerPage {
			break
		}
	}
	return all, nil
}

// matching are the release's files that the configuration wants.
func (s *releaseSource) matching(r release) []asset {
	if s.HTTP != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Assets), func(a asset) bool {
		return len(s.AssetNames) > 0 && !slices.ContainsFunc(s.AssetNames, func(pattern string) bool {
			ok, _ := doublestar.Match(pattern, a.Name) // the configuration was checked
			return ok
		})
	})
}

func (s *releaseSource) Key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error) {
	if locked != nil && locked.Digest != "" {
		return locked.Digest, nil
	}
	r, err := s.find(ctx, job, locked)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q\n", r.URL, r.Tag)
	for _, a := range s.matching(r) {
		fmt.Fprintf(sum, "%q %q %d %q\n", a.Name, a.URL, a.Size, a.Updated)
	}
	if s.HTTP != nil {
		key, err := s.http(r).Key(ctx, job, nil)
		if key == "" || err != nil {
			return "", err
		}
		fmt.Fprintln(sum, key)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// http is the source of a release's file elsewhere.
func (s *releaseSource) http(r release) *httpSource {
	h := *s.HTTP
	h.URL = strings.ReplaceAll(h.URL, "{tag}", r.Tag)
	return &httpSource{HTTP: h, f: s.f}
}

func (s *releaseSource) Fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	var none schema.LockedSource
	r, err := s.find(ctx, job, locked)
	if err != nil {
		return none, err
	}
	var digest string
	if s.HTTP != nil {
		resolved, err := s.http(r).Fetch(ctx, job, nil, a)
		if err != nil {
			return none, fmt.Errorf("http: %w", err)
		}
		digest = resolved.Digest
	} else if digest, err = s.assets(ctx, job, r, a); err != nil {
		return none, err
	}
	if locked != nil && locked.Digest != "" && locked.Digest != digest {
		return none, stale(job, fmt.Sprintf("now has the digest %s, but the lock file has %s", digest, locked.Digest))
	}
	if s.UnpackArchive != nil {
		if err := s.unpack(ctx, a); err != nil {
			return none, fmt.Errorf("unpackArchive: %s: %w", s.UnpackArchive.Path, err)
		}
	}
	stages.Log(job.Events, fmt.Sprintf("%s: release %s, %s", redacted(r.URL), r.Tag, digest))
	return schema.LockedSource{
		LockDirectoryContents: vendirconf.LockDirectoryContents{GithubRelease: &vendirconf.LockDirectoryContentsGithubRelease{URL: r.URL, Tag: r.Tag}},
		Digest:                digest,
	}, nil
}

// assetsAtOnce is how many files of a release are downloaded at the same time.
const assetsAtOnce = 4

// assets writes the release's files, and returns the digest of all of them together.
func (s *releaseSource) assets(ctx context.Context, job *stages.Job, r release, a *Area) (string, error) {
	list := s.matching(r)
	sums, err := s.checksums(r, list)
	if err != nil {
		return "", err
	}
	token, err := s.token(ctx, job)
	if err != nil {
		return "", err
	}
	files, digests := make([]*os.File, len(list)), make([]string, len(list))
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(assetsAtOnce)
	for i, asset := range list {
		g.Go(func() (err error) {
			// The token is for the API, and not for where its answers lead to.
			own := token
			if !sameOrigin(asset.URL, r.URL) {
				own = ""
			}
			w := s.file(asset.URL, own, "application/octet-stream", unpack.DefaultLimits().Bytes)
			w.shown += " (" + asset.Name + ")"
			w.want = sums[asset.Name]
			if files[i], digests[i], err = s.f.obtain(gctx, job, w); err != nil {
				return fmt.Errorf("asset %s: %w", asset.Name, s.advise(err))
			}
			if info, err := files[i].Stat(); err != nil || info.Size() != asset.Size {
				return errors.Join(fmt.Errorf("asset %s: has %d bytes, but the release says %d", asset.Name, info.Size(), asset.Size), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	u := unpack.New(a.tree, unpack.DefaultLimits())
	all := sha256.New()
	for i, asset := range list {
		if strings.ContainsAny(asset.Name, `/\`) {
			return "", fmt.Errorf("asset %q: the name is no file's name", asset.Name)
		}
		if err := u.Plain(ctx, files[i], asset.Name); err != nil {
			return "", err
		}
		fmt.Fprintf(all, "%s %q\n", digests[i], asset.Name)
	}
	return digestPrefix + hex.EncodeToString(all.Sum(nil)), nil
}

// checksums are the digests that files must have, by name: those of the configuration, or those that the
// release's text has, in the form of sha256sum.
func (s *releaseSource) checksums(r release, list []asset) (map[string]string, error) {
	sums := map[string]string{}
	if len(s.Checksums) == 0 && s.DisableAutoChecksumValidation {
		return sums, nil
	}
	for _, a := range list {
		sum, ok := s.Checksums[a.Name]
		if len(s.Checksums) == 0 {
			sum, ok = checksumIn(r.Body, a.Name)
			if !ok {
				return nil, stages.WithHint(fmt.Errorf("the release's text has no SHA-256 of %s", a.Name),
					"give checksums, or set disableAutoChecksumValidation")
			}
		}
		if !ok {
			return nil, stages.WithHint(fmt.Errorf("checksums: has none of %s", a.Name), "add it, or leave the file out with assetNames")
		}
		sums[a.Name] = digestPrefix + strings.ToLower(sum)
	}
	return sums, nil
}

// checksumIn finds a file's SHA-256 in a text of lines such as “26bf…  ./NAME”.
func checksumIn(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		sum := fields[0]
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), sum))
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "./"), "/")
		if raw, err := hex.DecodeString(sum); err == nil && len(raw) == sha256.Size && sum == strings.ToLower(sum) && rest == name {
			return sum, true
		}
	}
	return "", false
}

// unpack lets the content of an archive among the files take the place of all of them.
func (s *releaseSource) unpack(ctx context.Context, a *Area) error {
	earlier, err := a.renew()
	if err != nil {
		return err
	}
	defer earlier.Close()
	f, err := earlier.Open(path.Clean(s.UnpackArchive.Path))
	if err != nil {
		return stages.WithHint(errors.New("is not among the release's files"), "files there: %s", strings.Join(names(earlier), ", "))
	}
	defer f.Close()
	return unpack.New(a.tree, unpack.DefaultLimits()).Archive(ctx, f, "")
}

// names lists some of a folder's files, for a message.
func names(root *os.Root) []string {
	dir, err := root.Open(".")
	if err != nil {
		return nil
	}
	defer dir.Close()
	const few = 12
	list, err := dir.Readdirnames(few)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	slices.Sort(list)
	return list
}

func (s *releaseSource) Origin(l schema.LockedSource) stages.Origin {
	return stages.Origin{Source: cmp.Or(s.Slug, redacted(l.GithubRelease.URL)), Revision: l.GithubRelease.Tag}
}
