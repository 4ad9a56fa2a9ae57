// Package kapp is strake under the name kapp: the library's own commands, on kapp's own records in the
// cluster.
package kapp

import (
	"context"

	kappcmd "carvel.dev/kapp/pkg/kapp/cmd"
	"carvel.dev/kapp/pkg/kapp/cmd/app"
	"github.com/cppforlife/cobrautil"

	// The ways to log in to clusters that kapp's own program knows.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"strake.dev/strake/cmd/strake/carvel"
)

// Main runs kapp's command line and returns an error when it failed, after it has printed it. The library
// can't be told to stop: when ctx ends, abort is called, which ends the process. kapp's records are made
// for that, and it has neither children nor temporary files.
func Main(ctx context.Context, args []string, abort func()) error {
	defer context.AfterFunc(ctx, abort)()
	return carvel.Tool{
		Name:  "kapp",
		Tree:  kappcmd.NewDefaultKappCmd,
		Quiet: func(args []string) bool { return cobrautil.IsCobraManagedCommand(append([]string{"kapp"}, args...)) },
	}.Run(ctx, args)
}

// ExitCode tells the exit code of an error that Main returned. Some flags ask for codes that say whether
// there are, or were, changes.
func ExitCode(err error) int {
	// As kapp's program, which doesn't look into errors either.
	if status, ok := err.(app.ExitStatus); ok {
		return status.ExitStatus()
	}
	return 1
}
