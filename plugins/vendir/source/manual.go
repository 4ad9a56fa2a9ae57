package source

import (
	"context"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// manualSource is what somebody has put into a folder beside the App's file.
type manualSource struct{ directorySource }

func (s *manualSource) Kind() string { return "manual" }

func (s *manualSource) Fetch(ctx context.Context, job *stages.Job, l *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	if _, err := s.directorySource.Fetch(ctx, job, l, a); err != nil {
		return schema.LockedSource{}, err
	}
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Manual: &vendirconf.LockDirectoryContentsManual{}}}, nil
}
