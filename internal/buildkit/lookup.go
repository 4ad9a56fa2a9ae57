package buildkit

import (
	"bytes"
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
	"path/filepath"
	"time"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/sys/atomicwriter"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/registry"
)

// lookupTimeout is how long a registry or a git server may take to tell what a reference is. It is
// short, as a build doesn't depend on it, and a run with nothing to build shouldn't wait for a network
// that isn't there.
const lookupTimeout = 5 * time.Second

// stall is how long a web server may send nothing.
const stall = 30 * time.Second

// A Lookup tells what references are by asking registries, web and git servers, and keeps what can't
// change. It is safe for concurrent use.
type Lookup struct {
	// Registry is asked for images.
	Registry *registry.Client
	// Dir is a folder to keep what images hold and the digests of files in; empty for none.
	Dir string
	// Temp is a folder for temporary files; empty is the system's.
	Temp string
	// UserAgent names the program to web servers.
	UserAgent string
}

var _ Resolver = (*Lookup)(nil)

// Image asks the registry by HEAD; see [registry.Client.Head].
func (l *Lookup) Image(ctx context.Context, text string) (string, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		return "", err
	}
	if d, ok := ref.(name.Digest); ok {
		return d.DigestStr(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	desc, err := l.Registry.Head(ctx, ref)
	if err != nil {
		return "", err
	}
	return desc.Digest.String(), nil
}

// Config asks the registry, once for each digest and platform.
func (l *Lookup) Config(ctx context.Context, text, digest string, platform ocispecs.Platform) ([]byte, error) {
	kept := l.file("configs", digest+" "+platforms.Format(platform))
	if data, err := os.ReadFile(kept); err == nil && json.Valid(data) {
		return data, nil
	}
	ref, err := name.ParseReference(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	desc, err := l.Registry.Get(ctx, ref.Context().Digest(digest))
	if err != nil {
		return nil, err
	}
	image, err := imageFor(desc, platform)
	if err != nil {
		return nil, err
	}
	data, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	keep(kept, data)
	return data, nil
}

// imageFor returns the image itself, or that one of an index which BuildKit would take for a platform.
func imageFor(desc *remote.Descriptor, platform ocispecs.Platform) (v1.Image, error) {
	if !desc.MediaType.IsIndex() {
		return desc.Image()
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return nil, err
	}
	matcher := platforms.Only(platform)
	var best *v1.Descriptor
	var bestPlatform ocispecs.Platform
	for _, m := range index.Manifests {
		if m.Platform == nil {
			continue
		}
		p := ocispecs.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant, OSVersion: m.Platform.OSVersion}
		if matcher.Match(p) && (best == nil || matcher.Less(p, bestPlatform)) {
			best, bestPlatform = &m, p
		}
	}
	if best == nil {
		return nil, fmt.Errorf("has no image for %s", platforms.Format(platform))
	}
	all, err := desc.ImageIndex()
	if err != nil {
		return nil, err
	}
	return all.Image(best.Digest)
}

// Summary tells what an image holds. It asks the registry once for each digest, and where nothing can be
// kept not at all: then the summary is empty.
func (l *Lookup) Summary(ctx context.Context, ref name.Digest) (registry.Summary, error) {
	var s registry.Summary
	kept := l.file("images", ref.DigestStr())
	if kept == "" {
		return s, nil
	}
	if data, err := os.ReadFile(kept); err == nil && json.Unmarshal(data, &s) == nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	s, err := l.Registry.Summary(ctx, ref)
	if err != nil {
		return s, err
	}
	data, err := json.Marshal(s)
	if err == nil {
		keep(kept, data)
	}
	return s, err
}

// A keptFile is what is known of a file's URL.
type keptFile struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	Digest       string `json:"digest"`
}

// File downloads the file, unless the server says that it is still the one of last time.
func (l *Lookup) File(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if u.User != nil {
		return "", errors.New("holds credentials, and so can't stand in a lock file")
	}
	kept := l.file("files", address)
	var known keptFile
	if data, err := os.ReadFile(kept); err == nil && json.Unmarshal(data, &known) != nil {
		known = keptFile{}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(stall, func() { cancel(fmt.Errorf("the server has sent nothing for %s", stall)) })
	defer silence.Stop()
	resp, err := l.get(ctx, address, known)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && known.Digest != "":
		return known.Digest, nil
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the server answers %s", resp.Status)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &alarmed{resp.Body, silence}); err != nil {
		return "", errors.Join(err, context.Cause(ctx))
	}
	now := keptFile{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"), Digest: "sha256:" + hexSum(sum)}
	if now.ETag == "" && now.LastModified == "" {
		return now.Digest, nil
	}
	data, err := json.Marshal(now)
	if err != nil {
		return "", err
	}
	keep(kept, data)
	return now.Digest, nil
}

func (l *Lookup) get(ctx context.Context, address string, known keptFile) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	// What is digested is what BuildKit will get: the bytes as they are.
	req.Header.Set("Accept-Encoding", "identity")
	for header, value := range map[string]string{
		"User-Agent": l.UserAgent, "If-None-Match": known.ETag, "If-Modified-Since": known.LastModified,
	} {
		if value != "" {
			req.Header.Set(header, value)
		}
	}
	return http.DefaultClient.Do(req)
}

// An alarmed reader puts off the alarm with each piece that comes.
type alarmed struct {
	r     io.Reader
	alarm *time.Timer
}

func (a *alarmed) Read(p []byte) (int, error) {
	a.alarm.Reset(stall)
	return a.r.Read(p)
}

// Commit asks the server by git ls-remote.
func (l *Lookup) Commit(ctx context.Context, address, ref string) (string, error) {
	if err := git.CheckURL(address); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	repo, err := git.Open(address, git.Auth{}, l.Temp)
	if err != nil {
		return "", err
	}
	defer repo.Close()
	if ref == "" {
		ref = "HEAD"
	}
	refs, err := repo.Refs(ctx, git.Patterns(ref)...)
	if err != nil {
		return "", err
	}
	commit, ok := refs.Resolve(ref)
	if !ok {
		return "", fmt.Errorf("%s has no branch or tag %s", git.Redacted(address), ref)
	}
	return commit.SHA, nil
}

// file names the file that keeps something; it is empty when nothing is to be kept.
func (l *Lookup) file(kind, key string) string {
	if l.Dir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(l.Dir, kind, hex.EncodeToString(sum[:]))
}

// keep writes what may be read instead of asking again. Where that fails, it is asked again.
func keep(file string, data []byte) {
	if file == "" || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	_ = atomicwriter.WriteFile(file, data, 0o600)
}
