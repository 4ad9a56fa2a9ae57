package kapp

import (
	"context"
	"fmt"
	"time"

	cmdapp "carvel.dev/kapp/pkg/kapp/cmd/app"

	"strake.dev/strake/stages"
)

// A session is one call of the plugin: one app, one target, one set of options.
type session struct {
	// ctx ends the call; kapp's library takes none, so that it can't be passed down.
	ctx     context.Context
	target  target
	clients *clients
	events  *gate
	command command
	options []string
	// transcript, if not nil, gets what kapp prints.
	transcript *stages.Transcript
}

// begin finds out target and identity, and asks the API server for its types. The caller calls end.
func (s *step) begin(ctx context.Context, job *stages.Job, cmd command, options []string) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := s.target(ctx, job)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	f := cmd.flags(nil, nil)
	if err := f.parse(options); err != nil {
		return nil, err
	}
	events := &gate{to: job.Events}
	c, err := newClients(ctx, t.cluster, f, events)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	return &session{
		ctx: ctx, target: t, clients: c, events: events, command: cmd, options: options, transcript: job.Transcript,
	}, nil
}

// end keeps back what parts of kapp's library that still run may have to say.
func (s *session) end() { s.events.close() }

// prepare returns kapp's command, ready to run, with its output going to out.
func (s *session) prepare(out *screen, args ...string) (*flags, error) {
	f := s.command.flags(out, s.clients)
	if err := f.parse(append(args, s.options...)); err != nil {
		return nil, err
	}
	app := s.appFlags()
	switch {
	case f.deploy != nil:
		f.deploy.AppFlags = app
		f.deploy.DiffFlags.Mask, f.deploy.DiffFlags.Summary = true, true
	case f.delete != nil:
		f.delete.AppFlags = app
		f.delete.DiffFlags.Mask, f.delete.DiffFlags.Summary = true, true
	default:
		f.inspect.AppFlags = app
		f.inspect.Raw, f.inspect.Status, f.inspect.Tree = false, false, false
	}
	return f, nil
}

// appFlags name the app and its namespaces.
func (s *session) appFlags() cmdapp.Flags {
	app := cmdapp.Flags{Name: s.target.app, AppNamespace: s.target.record}
	app.NamespaceFlags.Name = s.target.objects
	return app
}

// grace is how long kapp's library gets to return after its context has ended. All its requests fail
// from then on, but it may sleep between two of them.
const grace = time.Second

// call runs a function of kapp's library. It returns soon after ctx has ended, also if the function
// doesn't: that one can't reach the cluster any more and ends by itself. A panic becomes an error.
func call(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("kapp's library stopped with a panic: %v", p)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return stopped(ctx, err)
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return stopped(ctx, err)
	case <-time.After(grace):
		return ctx.Err()
	}
}

// stopped replaces an error by that of the context if that has ended: whatever else is said then is
// a consequence.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
