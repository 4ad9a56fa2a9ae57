package buildkit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"

	"strake.dev/strake/stages"
)

const (
	frontend = "dockerfile.v0"
	// cacheArg is the argument by which BuildKit's frontend keeps cache mounts apart.
	cacheArg = "BUILDKIT_CACHE_MOUNT_NS"
	// digestKey is where the daemon's answer has the digest of what it pushed.
	digestKey = "containerimage.digest"
)

// Build builds b and puts the image where out says. It tells events of every step and of what the
// steps print. A step that fails is a [StepError]; a push that fails for a passing reason is repeated.
// When ctx ends, the build is cancelled at the daemon too, and nothing half is left in a layout or
// archive.
//
// Of several daemons, builds with the same Output.Cache go to the same one. When that doesn't answer, or
// goes away during the build, the next one builds, and events has a warning; a build that fails is
// not tried elsewhere.
func (c *Client) Build(ctx context.Context, b *Build, out Output, events stages.Observer) (Result, error) {
	began := time.Now()
	j := &job{client: c, build: b, out: out, hidden: &hidden{}}
	j.events = j.hidden.observer(events)
	j.steps = newSteps(out.Name, j.events, j.hidden.CleanLog)
	result, err := j.prepareAndRun(ctx)
	if err != nil {
		return Result{}, j.hidden.error(err)
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

// A job is one build.
type job struct {
	client *Client
	build  *Build
	out    Output
	events stages.Observer
	hidden *hidden
	steps  *steps

	session            []session.Attachable
	cacheFrom, cacheTo []Cache
}

func (j *job) prepareAndRun(ctx context.Context) (Result, error) {
	if err := j.prepare(); err != nil {
		return Result{}, fmt.Errorf("build of %s: %w", j.out.Name, err)
	}
	done, err := j.client.folders.take(ctx, j.cacheTo)
	if err != nil {
		return Result{}, fmt.Errorf("build of %s: %w", j.out.Name, err)
	}
	defer done()
	j.cacheFrom = present(j.cacheFrom, j.out.Name, j.events)
	return j.persist(ctx)
}

// prepare does everything that needs no daemon.
func (j *job) prepare() error {
	o := j.build.source.Options
	for _, value := range secretValues(append(slices.Clone(o.CacheFrom), o.CacheTo...)...) {
		j.hidden.Add([]byte(value))
	}
	j.hidden.addPassword(j.build.source.Remote)
	for _, c := range o.Contexts {
		j.hidden.addPassword(c.URL)
	}
	if err := j.client.Permits(o); err != nil {
		return err
	}
	if err := j.out.check(); err != nil {
		return err
	}
	var err error
	if j.cacheFrom, err = j.client.caches(cacheFrom, o.CacheFrom); err != nil {
		return err
	}
	if j.cacheTo, err = j.client.caches(cacheTo, o.CacheTo); err != nil {
		return err
	}
	for _, value := range secretValues(append(slices.Clone(j.cacheFrom), j.cacheTo...)...) {
		j.hidden.Add([]byte(value))
	}
	j.session, err = j.client.attachables(o, j.out.Keychain, j.hidden.hide)
	return err
}

// A built image is in place, or in a store that the caller closes.
type built struct {
	Result
	image *fetched
}

// run builds once, with one daemon.
func (j *job) run(ctx context.Context, at *connection) (b built, err error) {
	var into *store
	if j.out.fetched() {
		if into, err = newStore(j.out.Temp); err != nil {
			return b, fmt.Errorf("build of %s: %w", j.out.Name, err)
		}
		defer func() {
			if err != nil {
				into.close()
			}
		}()
	}
	var resp map[string]string
	err = at.during(ctx, func(ctx context.Context) error {
		resp, err = j.solve(ctx, at.Client, into)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return b, fmt.Errorf("build of %s: %w", j.out.Name, ctx.Err())
	case errors.Is(err, errLost):
		return b, err
	case err != nil:
		return b, failure(err, j.build, j.out, j.steps)
	}
	b.Digest, b.Daemon = resp[digestKey], at.daemon.String()
	b.Cached, b.Steps = j.steps.count()
	if b.Digest == "" {
		return b, fmt.Errorf("build of %s: the daemon at %s gave no digest for %s", j.out.Name, b.Daemon, j.out.places())
	}
	if into == nil {
		return b, at.during(ctx, func(ctx context.Context) error {
			b.describe(ctx, daemonBlobs(at.Client), resp, j.build)
			return nil
		})
	}
	if b.image, err = into.take(resp); err != nil {
		return b, fmt.Errorf("build of %s: %w", j.out.Name, err)
	}
	b.describe(ctx, into.content, resp, j.build)
	return b, nil
}

// solve has the daemon build, and returns its answer.
func (j *job) solve(ctx context.Context, bk *client.Client, into *store) (map[string]string, error) {
	j.steps.begin()
	statuses := make(chan *client.SolveStatus)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for s := range statuses {
			j.steps.tell(s)
		}
	}()
	resp, err := bk.Solve(ctx, nil, j.solveOpt(into), statuses)
	<-told
	if err != nil {
		j.steps.end(stages.TaskFailed)
		return nil, err
	}
	j.steps.end(stages.TaskDone)
	return resp.ExporterResponse, nil
}

func (j *job) solveOpt(into *store) client.SolveOpt {
	o := j.build.source.Options
	attrs, shared := j.build.frontendAttrs(), j.out.Cache
	if j.out.Tenant != "" {
		// The daemon takes files of equal size and time for what it has already. With a name of its own, a
		// context is compared with itself only.
		attrs["build-arg:"+cacheArg], shared = j.out.Tenant, j.out.Tenant+"/"+j.build.Parts().Digest()
	}
	return client.SolveOpt{
		Frontend:            frontend,
		FrontendAttrs:       attrs,
		LocalMounts:         j.build.mounts(),
		OCIStores:           j.build.stores(),
		SharedKey:           shared,
		SourcePolicy:        j.build.pins.policy(j.build.strict),
		Exports:             j.out.exports(o.Annotations, into),
		CacheImports:        entries(j.cacheFrom),
		CacheExports:        entries(j.cacheTo),
		Session:             j.session,
		AllowedEntitlements: o.entitlements(),
	}
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
