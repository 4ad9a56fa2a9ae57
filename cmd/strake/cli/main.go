package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strake.dev/strake/cmd/strake/checked"
	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/plugins"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/redact"
)

// A Program is what differs between one strake and another.
type Program struct {
	// Version is the program's own; empty means that Go's record of the build tells.
	Version string
	// Plugins returns the plugins to work with, such as [plugins.Builtin].
	Plugins func(plugins.Deps) []stages.Plugin
}

// Main runs the command that the process was called with, and returns the exit code. It handles
// signals: the first one cancels the command, a second one ends the process at once.
func Main(p Program) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	t := &tool{Program: p, in: os.Stdin, out: &checked.Writer{To: os.Stdout}, err: os.Stderr, getenv: os.Getenv, environ: os.Environ}
	if n, args, ok := namesakeOf(os.Args); ok {
		return exitCode(ctx, n.main(t, ctx, args))
	}
	quiet()
	return t.execute(ctx, os.Args[1:])
}

// quiet keeps libraries from printing by themselves: what matters is in errors and events.
func quiet() {
	kube.Quiet()
	buildkit.Quiet()
}

// A tool is the program together with the outside that its commands see.
type tool struct {
	Program
	in     io.Reader
	out    *checked.Writer
	err    io.Writer
	getenv func(string) string
	// environ lists the environment; nil is none.
	environ func() []string
	// secrets are what no text may hold; learned are those of the environment.
	secrets redact.Set
	learned [][]byte
}

// execute runs a command and returns the exit code.
func (t *tool) execute(ctx context.Context, args []string) int {
	t.learnPasswords(args)
	err := t.call(ctx, newRootCommand(t), args)
	if err == nil && t.out.Err != nil {
		err = fmt.Errorf("standard output: %w", t.out.Err)
	}
	t.printError(err)
	return exitCode(ctx, err)
}

// call turns a panic into an error, because a stack trace helps no user.
func (t *tool) call(ctx context.Context, root *cobra.Command, args []string) error {
	root.SetArgs(args)
	_, err := guard(func() (struct{}, error) { return struct{}{}, root.ExecuteContext(ctx) })
	return err
}

// guard turns a panic into an error.
func guard[T any](do func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = stages.WithHint(fmt.Errorf("internal error: %v", p), "this is a bug in strake: please report it")
		}
	}()
	return do()
}
