package ssa

import (
	"context"
	"fmt"

	"strake.dev/strake/stages"
)

var _ stages.Historian = (*step)(nil)

// History lists the recorded deploys, the latest first.
func (s *step) History(ctx context.Context, job *stages.Job) ([]stages.Revision, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return nil, err
	}
	defer ses.end()
	inv, err := ses.inventory()
	if err != nil {
		return nil, err
	}
	if inv.stored == nil {
		return nil, fmt.Errorf("%s: %w", ses.describe(), stages.ErrNotDeployed)
	}
	list, err := ses.history(ses.core, inv).List(ses.ctx)
	return list, stopped(ctx, err)
}

// Recall returns the manifests of a recorded deploy.
func (s *step) Recall(ctx context.Context, job *stages.Job, number int) (stages.Manifests, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return nil, err
	}
	defer ses.end()
	m, err := ses.history(ses.core, &inventory{}).Recall(ses.ctx, number)
	return m, stopped(ctx, err)
}
