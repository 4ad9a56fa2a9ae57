package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/stages"
)

const (
	// tries is how often a build is tried when a registry turns the daemon away for a passing reason.
	tries = 4
	// firstWait is how long to wait before the second try; it is doubled with each one.
	firstWait = time.Second
	// maxAsk is how long a registry may take to say that it is ready again.
	maxAsk = 2 * time.Minute
)

// persist builds, again and again where a registry failed for a passing reason: what the daemon has
// done by then it needn't do again.
func (j *job) persist(ctx context.Context) (Result, error) {
	for try := 1; ; try++ {
		b, err := j.anywhere(ctx)
		if err == nil {
			if b.image == nil {
				return b.Result, nil
			}
			defer b.image.close()
			return b.Result, j.place(ctx, b.image)
		}
		fault, ok := faultOf(err)
		if !ok || try == tries {
			return Result{}, err
		}
		stages.Warn(j.events, fmt.Sprintf("%s: %s; trying again (%d of %d)", j.out.Name, fault, try+1, tries))
		if err := j.await(ctx, fault, try); err != nil {
			return Result{}, fmt.Errorf("build of %s: %w", j.out.Name, err)
		}
	}
}

// A fault is why a registry turned the daemon away, when that may pass.
type fault struct {
	// text is what happened.
	text string
	// url is the request that failed, if the daemon said so.
	url *url.URL
}

func (f fault) String() string { return f.text }

// unexpected matches how the daemon tells of an answer of a registry.
var unexpected = regexp.MustCompile(`unexpected status from (?:GET|HEAD|POST|PUT|PATCH) request to (\S+): ([0-9]{3})\b[^:;\n]*`)

// broken matches how the daemon tells of a connection to a registry that broke.
var broken = regexp.MustCompile(`failed to (?:do request|copy|push|authorize)[^\n]*(connection reset by peer|broken pipe|unexpected EOF|: EOF|TLS handshake timeout|i/o timeout)`)

// request matches the request of a broken connection.
var request = regexp.MustCompile(`(?:Get|Head|Post|Put|Patch) "([^"\s]+)"`)

// faultOf tells whether an error of a build is a registry's fault that may pass.
func faultOf(err error) (fault, bool) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault{}, false
	}
	// What a step printed is no sign.
	if step, ok := errors.AsType[*StepError](err); ok {
		if step.ExitCode != 0 {
			return fault{}, false
		}
		err = step.Err
	}
	return faultIn(err.Error())
}

func faultIn(text string) (fault, bool) {
	if m := unexpected.FindStringSubmatch(text); m != nil {
		status, _ := strconv.Atoi(m[2]) // three digits
		return fault{text: m[0], url: parsed(m[1])}, status == http.StatusTooManyRequests || status >= 500
	}
	m := broken.FindStringSubmatch(text)
	if m == nil {
		return fault{}, false
	}
	f := fault{text: strings.TrimPrefix(m[1], ": ")}
	if r := request.FindStringSubmatch(text); r != nil {
		if f.url = parsed(r[1]); f.url != nil {
			f.text = f.url.Host + ": " + f.text
		}
	}
	return f, true
}

func parsed(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil
	}
	return u
}

// await waits before the next try: some time, and then until the registry answers, which the client
// asks as often and as late as the registry wants.
func (j *job) await(ctx context.Context, f fault, try int) error {
	wait := j.client.opts.FirstWait
	if wait == 0 {
		wait = firstWait
	}
	timer := time.NewTimer(wait << (try - 1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	ref, ok := f.reference(j.out.Push)
	if !ok || j.client.opts.Registry == nil {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, maxAsk)
	defer cancel()
	// Only the wait counts: whether the image is there doesn't matter, and what is wrong the next try
	// tells better.
	_, _ = j.client.opts.Registry.Get(asking, ref)
	return ctx.Err()
}

// apiPath matches the path of a request to a registry.
var apiPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags)/(.*)$`)

// reference is what to ask the registry for that failed: a tag to push, the manifest of the request, or
// any of its repository.
func (f fault) reference(push []name.Tag) (name.Reference, bool) {
	if f.url == nil {
		return nil, false
	}
	for _, tag := range push {
		if tag.RegistryStr() == f.url.Host {
			return tag, true
		}
	}
	m := apiPath.FindStringSubmatch(f.url.Path)
	if m == nil {
		return nil, false
	}
	var options []name.Option
	if f.url.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	text := f.url.Host + "/" + m[1]
	switch {
	case m[2] != "manifests":
	case strings.Contains(m[3], ":"):
		text += "@" + m[3]
	default:
		text += ":" + m[3]
	}
	ref, err := name.ParseReference(text, options...)
	return ref, err == nil
}
