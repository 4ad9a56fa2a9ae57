// Package vendir is strake under the name vendir: the library's own commands. What is ours is how it ends
// when it is told to: with the tools that it runs, and without temporary folders.
package vendir

import (
	"context"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	vendircmd "carvel.dev/vendir/pkg/vendir/cmd"

	"strake.dev/strake/cmd/strake/carvel"
)

const (
	// staging matches the temporary folders of the library, in the working directory.
	staging = ".vendir-tmp-*"
	// patience is how long the library may take to fail once the tools that it runs are gone.
	patience = time.Second
)

// Main runs vendir's command line and returns an error when it failed, after it has printed it. When ctx
// ends, the tools that vendir runs are killed, at which it fails and tidies up. What doesn't end so,
// because it waits for the network, ends with abort, which ends the process.
func Main(ctx context.Context, args []string, abort func()) error {
	// The libraries have something to say that is for their authors.
	log.SetOutput(io.Discard)
	began, done := time.Now(), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			killChildren()
			select {
			case <-done:
				return
			case <-time.After(patience / 20):
			}
		}
		removeStaging(began)
		abort()
	})
	defer stop()
	defer close(done)
	return carvel.Tool{Name: "vendir", Tree: vendircmd.NewDefaultVendirCmd}.Run(ctx, args)
}

// removeStaging removes the temporary folders that were made since this process began.
func removeStaging(began time.Time) {
	found, _ := filepath.Glob(staging)
	for _, dir := range found {
		if info, err := os.Stat(dir); err == nil && !info.ModTime().Before(began) {
			_ = os.RemoveAll(dir)
		}
	}
}
