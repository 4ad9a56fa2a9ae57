package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/plugins/vendir/unpack"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type httpSource struct {
	HTTP
	f *Fetcher
}

func (s *httpSource) Kind() string { return "http" }

func (s *httpSource) Stale(l schema.LockedSource) string {
	if want := s.want(nil); want != "" && l.Digest != "" && want != l.Digest {
		return fmt.Sprintf("has the sha256 %s, but the lock file has %s", want, l.Digest)
	}
	return ""
}

func (s *httpSource) Check(ctx context.Context, job *stages.Job) error {
	_, _, err := login(ctx, job, s.SecretRef)
	return err
}

// want is the digest that the file has to have, or empty.
func (s *httpSource) want(locked *schema.LockedSource) string {
	switch {
	case s.SHA256 != "":
		return "sha256:" + strings.ToLower(s.SHA256)
	case locked != nil:
		return locked.Digest
	default:
		return ""
	}
}

// Key is the file's digest. Without one that is given, or a cache, only the content itself tells whether it
// has changed.
func (s *httpSource) Key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error) {
	if want := s.want(locked); want != "" {
		return want, nil
	}
	if s.f.deps.Cache == nil {
		return "", nil
	}
	f, digest, err := s.get(ctx, job, locked)
	if err != nil {
		return "", err
	}
	return digest, f.Close()
}

// get returns the file and its digest.
func (s *httpSource) get(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (*os.File, string, error) {
	username, password, err := login(ctx, job, s.SecretRef)
	if err != nil {
		return nil, "", err
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, "", errors.New("url: expected a URL")
	}
	want := s.want(locked)
	f, digest, err := s.f.obtain(ctx, job, webFile{
		request: download.Request{URL: s.URL, Username: username, Password: password, Max: unpack.DefaultLimits().Bytes},
		secret:  username != "" || password != "" || u.User != nil || u.RawQuery != "",
		shown:   download.Redacted(u), task: "download", want: want,
	})
	if err != nil {
		if locked != nil && s.SHA256 == "" {
			err = moved(job, want, err)
		}
		return nil, "", advise(err, s.SecretRef != nil)
	}
	return f, digest, nil
}

func (s *httpSource) Fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	var none schema.LockedSource
	f, digest, err := s.get(ctx, job, locked)
	if err != nil {
		return none, err
	}
	defer f.Close()
	u, _ := url.Parse(s.URL) // get has parsed it
	stages.Log(job.Events, fmt.Sprintf("%s: %s", download.Redacted(u), digest))
	unpacker := unpack.New(a.tree, unpack.DefaultLimits())
	if s.DisableUnpack {
		err = unpacker.Plain(ctx, f, plainName(u))
	} else {
		err = unpacker.Archive(ctx, f, plainName(u))
	}
	if err != nil {
		return none, fmt.Errorf("unpacking %s: %w", download.Redacted(u), err)
	}
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{HTTP: &vendirconf.LockDirectoryContentsHTTP{}}, Digest: digest}, nil
}

func (s *httpSource) Origin(l schema.LockedSource) stages.Origin {
	revision := strings.TrimPrefix(l.Digest, "sha256:")
	return stages.Origin{Source: redacted(s.URL), Revision: revision}
}

// plainName is the name that a file which is no archive gets: the last element of the URL's path.
func plainName(u *url.URL) string {
	name := u.Path[strings.LastIndex(u.Path, "/")+1:]
	if name == "" || name == "." || name == ".." {
		return "content"
	}
	return name
}

// advise adds what to do about a server's refusal.
func advise(err error, withSecret bool) error {
	var se *download.StatusError
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		if withSecret {
			return stages.WithHint(err, "the server refused the username and password of the secretRef")
		}
		return stages.WithHint(err, "the server wants to know who asks: give a secretRef with username and password")
	case http.StatusNotFound:
		return stages.WithHint(err, "check the url")
	}
	return err
}
