package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// maxManifest is in bytes. Registries have to take manifests of 4 MiB, and many take no larger ones.
	maxManifest = 8 << 20
	// maxRedirects is how often a request may be led to another place. The library has no bound.
	maxRedirects = 8
	digestHeader = "Docker-Content-Digest"
)

// A checking transport looks at answers before the library does, which takes any body for a manifest,
// and finds a [Fault] in those that can't be meant.
type checking struct{ next http.RoundTripper }

// RoundTrip fails for redirects without end, and for a manifest or list of tags that isn't one.
func (t checking) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	if redirects(req) > maxRedirects {
		return nil, &Fault{Host: host, Text: fmt.Sprintf("redirects more than %d times: %s", maxRedirects, req.URL.Path)}
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	asked, isManifest := manifestAsked(req)
	isTags := strings.HasSuffix(req.URL.Path, "/tags/list")
	if !isManifest && !isTags {
		return resp, nil
	}
	if req.Method == http.MethodHead {
		if err := checkDigest(host, "says that it has", resp.Header.Get(digestHeader), asked); err != nil {
			resp.Body.Close()
			return nil, err
		}
		return resp, nil
	}
	if req.Method != http.MethodGet {
		return resp, nil
	}
	body, err := readAll(host, resp)
	if err != nil {
		return nil, err
	}
	if err := checkJSON(host, resp, body); err != nil {
		return nil, err
	}
	if isManifest {
		if err := checkManifest(host, resp, body, asked); err != nil {
			return nil, err
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// redirects counts how often a request was led on.
func redirects(req *http.Request) int {
	n := 0
	for ; req.Response != nil && req.Response.Request != nil; req = req.Response.Request {
		n++
	}
	return n
}

// manifestAsked returns the digest that a request for a manifest has, which is empty when it asks by
// tag, and whether it is such a request.
func manifestAsked(req *http.Request) (digest string, ok bool) {
	dir, ref := path.Split(req.URL.Path)
	if !strings.HasSuffix(dir, "/manifests/") {
		return "", false
	}
	if _, err := v1.NewHash(ref); err != nil {
		return "", true
	}
	return ref, true
}

// readAll reads and closes the body of an answer that is a manifest or list.
func readAll(host string, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxManifest {
		return nil, &Fault{Host: host, Text: fmt.Sprintf("answers with more than the %d MiB that a manifest may have", maxManifest>>20)}
	}
	return body, nil
}

func checkJSON(host string, resp *http.Response, body []byte) error {
	if json.Valid(body) {
		return nil
	}
	kind := resp.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return &Fault{Host: host, Text: "answers with a web page, which is no manifest: is it a registry, or does something in between want a login?"}
	}
	return &Fault{Host: host, Text: fmt.Sprintf("answers with %d bytes that are no JSON, so no manifest (type %q)", len(body), kind)}
}

// checkManifest makes sure that a manifest is the one that was asked for.
func checkManifest(host string, resp *http.Response, body []byte, asked string) error {
	if types.MediaType(resp.Header.Get("Content-Type")) == types.DockerManifestSchema1Signed {
		// Its digest is that of a part of it.
		return nil
	}
	sum := sha256.Sum256(body)
	if strings.HasPrefix(asked, "sha256:") {
		if err := checkDigest(host, "answers with", "sha256:"+hex.EncodeToString(sum[:]), asked); err != nil {
			return err
		}
	}
	// By tag, too many registries have something else in the header to insist on it.
	return checkDigest(host, "says that it answers with", resp.Header.Get(digestHeader), asked)
}

func checkDigest(host, says, got, asked string) error {
	if asked == "" || got == "" || got == asked {
		return nil
	}
	return &Fault{Host: host, Text: fmt.Sprintf("%s the manifest %s where %s was asked for", says, got, asked)}
}
