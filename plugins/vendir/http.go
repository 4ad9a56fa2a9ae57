package vendir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/plugins/vendir/unpack"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type httpSource struct {
	HTTP
	web *download.Client
}

func (s *httpSource) kind() string                     { return "http" }
func (s *httpSource) subPath() string                  { return s.SubPath }
func (s *httpSource) stale(schema.LockedSource) string { return "" }

func (s *httpSource) check(ctx context.Context, job *stages.Job) error {
	_, _, err := login(ctx, job, s.SecretRef)
	return err
}

// key is the checksum, if there is one: without it, only the content itself tells whether it changed.
func (s *httpSource) key(context.Context, *stages.Job, *schema.LockedSource) (string, error) {
	if s.SHA256 == "" {
		return "", nil
	}
	return "sha256:" + strings.ToLower(s.SHA256), nil
}

func (s *httpSource) fetch(ctx context.Context, job *stages.Job, _ *schema.LockedSource, a *area) (schema.LockedSource, error) {
	username, password, err := login(ctx, job, s.SecretRef)
	if err != nil {
		return schema.LockedSource{}, err
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return schema.LockedSource{}, errors.New("url: expected a URL")
	}
	f, err := a.temp("download")
	if err != nil {
		return schema.LockedSource{}, err
	}
	defer f.Close()
	shown := download.Redacted(u)
	t := startTask(job.Events, "download", shown)
	sum, err := s.web.File(ctx, f, download.Request{
		URL: s.URL, Username: username, Password: password, SHA256: s.SHA256,
		Max: unpack.DefaultLimits().Bytes, Progress: t.bytes,
	})
	t.end(err)
	if err != nil {
		return schema.LockedSource{}, advise(err, s.SecretRef != nil)
	}
	stages.Log(job.Events, fmt.Sprintf("%s: sha256:%s", shown, sum))
	err = unpack.New(a.tree, unpack.DefaultLimits()).Archive(ctx, f, plainName(u))
	if err != nil {
		return schema.LockedSource{}, fmt.Errorf("unpacking %s: %w", shown, err)
	}
	return schema.LockedSource{HTTP: &vendirconf.LockDirectoryContentsHTTP{}}, nil
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
