// Package carvel runs the command trees of Carvel's tools as their own programs do: what they print, and
// in which layout, is theirs. What it adds is that a panic is an error, and that output which can't be
// written is one too.
package carvel

import (
	"context"
	"fmt"
	"slices"
	"sync"

	uierrors "github.com/cppforlife/go-cli-ui/errors"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/spf13/cobra"
)

// A Tool is one of Carvel's programs.
type Tool struct {
	Name string
	// Tree makes its commands.
	Tree func(*ui.ConfUI) *cobra.Command
	// Quiet, if not nil, tells whether a call with these arguments doesn't end with “Succeeded”.
	Quiet func(args []string) bool
}

// Run runs a command line on the process's standard output and error, and returns an error when it
// failed, after it has printed it. The error is the library's own. One that comes of the context's end is
// printed as the context's cause.
func (t Tool) Run(ctx context.Context, args []string) error {
	lost := &Loss{}
	confUI := ui.NewConfUI(lost)
	defer confUI.Flush()
	err := t.call(ctx, confUI, args)
	if err == nil && (t.Quiet == nil || !t.Quiet(args)) {
		confUI.PrintLinef("Succeeded")
	}
	if err == nil {
		err = lost.Err()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		confUI.ErrorLinef("%s: Error: %v", t.Name, uierrors.NewMultiLineError(err))
	}
	return err
}

// call turns a panic into an error, because a stack trace helps no user.
func (t Tool) call(ctx context.Context, confUI *ui.ConfUI, args []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v", t.Name, p)
		}
	}()
	root := t.Tree(confUI)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// A Loss is a logger for the library's printing that remembers what could not be written, which the
// library tells only its log.
type Loss struct {
	mu  sync.Mutex
	err error
}

// Debug ignores what is for the library's authors.
func (*Loss) Debug(string, string, ...any) {}

// Error is told why something could not be printed.
func (l *Loss) Error(_, _ string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, arg := range slices.Backward(args) {
		if err, ok := arg.(error); ok && l.err == nil {
			l.err = fmt.Errorf("standard output: %w", err)
		}
	}
}

// Err is the first thing that could not be written; nil if all was.
func (l *Loss) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
