package kapp

import (
	"context"
	"fmt"
	"time"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	"carvel.dev/kapp/pkg/kapp/logger"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/stages"
)

// A session is one call of the plugin: one app, one target, one set of options.
type session struct {
	// ctx ends the call; kapp's library takes none, so that it can't be passed down.
	ctx     context.Context
	job     *stages.Job
	target  target
	clients *clients
	events  stages.Observer
	flags   *flags
	// options are those that the flags were read from.
	options []string
	objects *objects
	// lasting makes requests also when the context has ended.
	lasting kubernetes.Interface
}

// begin finds out target and identity. It makes no request but those that the identity takes.
func (s *step) begin(ctx context.Context, job *stages.Job, cmd command, options []string) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := s.target(ctx, job)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	c := &clients{}
	f := cmd.flags(c)
	if err := f.parse(options); err != nil {
		return nil, err
	}
	if err := c.connect(ctx, t.cluster, f, job.Events); err != nil {
		return nil, stopped(ctx, err)
	}
	ses := &session{ctx: ctx, job: job, target: t, clients: c, events: job.Events, flags: f, options: options}
	ses.objects = newObjects(ctx, c)
	if ses.lasting, err = ses.steady(); err != nil {
		return nil, err
	}
	return ses, nil
}

// identified gives kapp's library its access to objects.
func (s *session) identified() ctlres.IdentifiedResources {
	return ctlres.NewIdentifiedResources(s.clients.core, s.clients.types, s.objects, []string{s.target.objects}, logger.NewNoopLogger())
}

// app is kapp's own handling of the record of an app. What has been begun is closed in it also when the
// session's context has ended.
func (s *session) app(name string) *ctlapp.RecordedApp {
	hint := func(string) string { return "" }
	return ctlapp.NewRecordedApp(name, s.target.record, time.Time{}, s.lasting, s.identified(), hint, logger.NewNoopLogger())
}

// guarded calls kapp's library, of which a panic becomes an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kapp's library stopped with a panic: %v", p)
		}
	}()
	return f()
}

// stopped replaces an error by that of the context if that has ended: whatever else is said then is
// a consequence.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
