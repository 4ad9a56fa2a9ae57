package buildkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"

	"strake.dev/strake/stages"
)

const (
	frontend = "dockerfile.v0"
	// digestKey is where the daemon's answer has the digest of what it pushed.
	digestKey = "containerimage.digest"
)

// An Output says where a build goes, and what it is called on the way.
type Output struct {
	// Address is the daemon's, from [Client.Address].
	Address string
	// Push are the tags to push the image under, of registries that all speak HTTPS, or all HTTP.
	Push []name.Tag
	// Name names the build in events and errors.
	Name string
	// Cache names the build for the daemon, which keeps the last context of each name: builds of one
	// source share it, others don't.
	Cache string
}

func (o Output) names() []string {
	var names []string
	for _, tag := range o.Push {
		names = append(names, tag.Name())
	}
	return names
}

// Build builds and pushes b, and returns the digest of the image, or of the index when there are
// several platforms. It tells events of every step and of what the steps print. A step that fails is
// a [StepError]. When ctx ends, the build is cancelled at the daemon too.
func (c *Client) Build(ctx context.Context, b *Build, out Output, events stages.Observer) (string, error) {
	bk, err := connect(ctx, out.Address)
	if err != nil {
		return "", err
	}
	defer bk.Close()
	// Otherwise the library would wait for the last words of a daemon that may never come.
	defer context.AfterFunc(ctx, func() { bk.Close() })()

	steps := newSteps(out.Name, events)
	statuses := make(chan *client.SolveStatus)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for s := range statuses {
			steps.tell(s)
		}
	}()
	resp, err := bk.Solve(ctx, nil, c.solveOpt(b, out), statuses)
	<-told
	if err != nil {
		steps.end(stages.TaskFailed)
	} else {
		steps.end(stages.TaskDone)
	}
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("build of %s: %w", out.Name, ctx.Err())
	case err != nil:
		return "", failure(err, b, out, steps)
	}
	digest := resp.ExporterResponse[digestKey]
	if digest == "" {
		return "", fmt.Errorf("build of %s: the daemon at %s gave no digest for what it pushed to %s", out.Name, clean(out.Address), strings.Join(out.names(), ", "))
	}
	return digest, nil
}

func (c *Client) solveOpt(b *Build, out Output) client.SolveOpt {
	push := map[string]string{
		"name":              strings.Join(out.names(), ","),
		"push":              "true",
		"oci-mediatypes":    "true",
		"rewrite-timestamp": "true",
	}
	if out.Push[0].Scheme() == "http" {
		push["registry.insecure"] = "true"
	}
	return client.SolveOpt{
		Frontend:      frontend,
		FrontendAttrs: b.frontendAttrs(),
		LocalMounts:   map[string]fsutil.FS{"context": b.context, "dockerfile": b.dockerfileTree()},
		SharedKey:     out.Cache,
		Exports:       []client.ExportEntry{{Type: client.ExporterImage, Attrs: push}},
		Session:       []session.Attachable{credentials(c.opts.Keychain)},
	}
}

func (b *Build) frontendAttrs() map[string]string {
	s := b.source
	attrs := map[string]string{
		"filename":              path.Base(s.Dockerfile),
		"build-arg:" + epochArg: b.epoch,
	}
	for k, v := range maps.All(s.Args) {
		attrs["build-arg:"+k] = v
	}
	for k, v := range maps.All(s.Labels) {
		attrs["label:"+k] = v
	}
	if s.Target != "" {
		attrs["target"] = s.Target
	}
	if len(s.Platforms) > 0 {
		attrs["platform"] = strings.Join(s.Platforms, ",")
	}
	if s.NoCache {
		attrs["no-cache"] = ""
	}
	if s.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	return attrs
}

// dockerfileTree holds the Dockerfile, and the .dockerignore that belongs to it.
func (b *Build) dockerfileTree() *tree {
	base := path.Base(b.source.Dockerfile)
	names, contents := []string{base}, map[string][]byte{base: b.dockerfile}
	if b.ownIgnore {
		names = append(names, base+".dockerignore")
		contents[base+".dockerignore"] = b.ignore
	}
	return memoryTree(names, contents)
}

// checksum matches how BuildKit says that a file to copy isn't there; the name of the ref in it is
// another one each time.
var checksum = regexp.MustCompile(`(?:failed to compute cache key: )?failed to calculate checksum of ref \S+: "([^"]*)": not found`)

// plain strips the layers that the libraries add and nobody wants to read.
func plain(err error) error {
	text := err.Error()
	if _, cause, ok := strings.Cut(text, "Error while dialing: "); ok {
		return errors.New(strings.TrimRight(cause, `"`))
	}
	for _, prefix := range []string{"failed to solve: ", "failed to call info: ", "failed to receive status: ", "rpc error: code = Unavailable desc = ", "Unavailable: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return errors.New(checksum.ReplaceAllString(text, "not in the build context: $1"))
}
