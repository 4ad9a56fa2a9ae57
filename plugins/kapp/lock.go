package kapp

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"strake.dev/strake/internal/lease"
	"strake.dev/strake/stages"
)

// steadyTimeout is how long one request of what has to be done also after a cancel may take.
const steadyTimeout = 5 * time.Second

// steady returns a client whose requests go on when the session's context has ended: records are
// closed and locks given up with it.
func (s *session) steady() (kubernetes.Interface, error) {
	config, err := s.target.cluster.Config(context.WithoutCancel(s.ctx))
	if err != nil {
		return nil, err
	}
	config.Timeout = steadyTimeout
	config.WarningHandler = rest.NoWarnings{}
	return kubernetes.NewForConfig(config)
}

// locked calls f while no other deployer changes the app. f learns whether it had to wait for one.
func (s *session) locked(f func(waited bool) (stages.Result, error)) (result stages.Result, err error) {
	waited := false
	held, err := lease.Acquire(s.ctx, s.lasting, lease.Options{
		Namespace: s.target.record, Name: s.target.app + lockSuffix,
		App:      "app " + s.target.app + " in namespace " + s.target.record,
		Identity: lease.Identity(),
		Waiting:  func(e *stages.HeldError) { waited = true; stages.Warn(s.events, "waiting: "+e.Error()) },
		Warn:     func(message string) { stages.Warn(s.events, message) },
	})
	if busy := (*stages.HeldError)(nil); errors.As(err, &busy) {
		return stages.Result{}, err
	}
	if err != nil {
		return stages.Result{}, s.explain(err)
	}
	ctx, cancel := held.Bind(s.ctx)
	before := s.ctx
	s.ctx = ctx
	defer func() {
		cancel()
		s.ctx = before
		if e := held.Release(before); e != nil && err == nil {
			stages.Warn(s.events, "lock of the app: "+e.Error())
		}
	}()
	return f(waited)
}

// lockSuffix makes the name of the Lease from that of the app.
const lockSuffix = ".app.strake.dev"
