// Package child runs other programs such that none of them outlives strake: when the context ends, or strake
// is killed, they are.
package child

import (
	"context"
	"os/exec"
	"runtime"
	"time"
)

// stragglers is how long pipes may stay open after the program has ended.
const stragglers = 2 * time.Second

// Command is exec.CommandContext for a program that Run is to run.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = stragglers
	contain(cmd)
	return cmd
}

// Run runs a program that Command has made, on a thread of its own: the signal that ends it when strake dies
// is bound to the thread that has started it (https://go.dev/issue/27505).
func Run(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- cmd.Run()
	}()
	return <-done
}
