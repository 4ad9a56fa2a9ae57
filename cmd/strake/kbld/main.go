package kbld

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"
	kbldversion "carvel.dev/kbld/pkg/kbld/version"
	"github.com/cppforlife/cobrautil"
	uierrors "github.com/cppforlife/go-cli-ui/errors"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/spf13/cobra"

	"strake.dev/strake/cmd/strake/carvel"
	"strake.dev/strake/internal/hook"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/stages"
)

// A Program is what the command line needs from the program that it is part of.
type Program struct {
	// Deps makes the clients to work with. It is called only when something is to be resolved. With a
	// policy, builds go where that says.
	Deps func(kbldcmd.RegistryFlags, *hook.Policy) (kbld.Deps, error)
	// Getenv reads the environment.
	Getenv func(string) string
	// Stderr is where progress goes.
	Stderr io.Writer
	// Abort ends the process. It is called when the context ends while a command of the library runs,
	// which can't be told to stop.
	Abort func()
}

// Main runs kbld's command line and returns an error when it failed, after it has printed it.
func Main(ctx context.Context, args []string, p Program) error {
	// The libraries have something to say that is for their authors.
	log.SetOutput(io.Discard)
	// Without a version from the linker, the library knows its module's, in a form that it doesn't read.
	kbldversion.Version = strings.TrimPrefix(kbldversion.Version, "v")

	out := &carvel.Loss{}
	confUI := ui.NewConfUI(out)
	c := &command{Program: p, ui: confUI}
	c.hide, c.clean = pipeline.NewRedactor()
	err := c.call(ctx, args)
	if err == nil {
		confUI.PrintLinef("Succeeded")
	} else {
		confUI.ErrorLinef("kbld: Error: %s", c.bound(c.clean(uierrors.NewMultiLineError(layOut(err)).Error())))
	}
	confUI.Flush()
	if lost := out.Err(); err == nil && lost != nil {
		err = lost
		fmt.Fprintf(p.Stderr, "kbld: Error: %v\n", err)
	}
	return err
}

// A command is one call of kbld.
type command struct {
	Program
	ui    *ui.ConfUI
	hide  func([]byte)
	clean func(string) string
	// policy is that of a call that may build in a cluster.
	policy *hook.Policy
}

// call turns a panic into an error, because a stack trace helps no user.
func (c *command) call(ctx context.Context, args []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	root := c.tree()
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// tree is the library's command tree, with our own way to resolve.
func (c *command) tree() *cobra.Command {
	options := kbldcmd.NewKbldOptions(c.ui)
	root := kbldcmd.NewKbldCmd(options)
	for _, sub := range root.Commands() {
		cobrautil.VisitCommands(sub, cobrautil.WrapRunEForCmd(func(cmd *cobra.Command, _ []string) error {
			context.AfterFunc(cmd.Context(), c.Abort)
			return nil
		}))
	}
	root.RunE = c.resolve
	// As the library does it for all commands; the last one runs first.
	cobrautil.DisallowExtraArgs(root)
	cobrautil.WrapRunEForCmd(func(*cobra.Command, []string) error {
		options.UIFlags.ConfigureUI(c.ui)
		return nil
	})(root)
	cobrautil.WrapRunEForCmd(cobrautil.ResolveFlagsForCmd)(root)
	return root
}

// layOut gives an error the form in which kbld prints it: one item for each image.
func layOut(err error) error {
	errs := parts(err)
	if len(errs) == 1 && !isImage(errs[0]) {
		return errors.New(withHint(errs[0], errs[0].Error()))
	}
	var b strings.Builder
	for _, err := range errs {
		text := err.Error()
		if image, ok := errors.AsType[*kbld.ImageError](err); ok {
			text = fmt.Sprintf("Resolving image '%s': %v", image.Ref, image.Err)
		}
		b.WriteString("\n- " + withHint(err, text))
	}
	return errors.New(b.String())
}

func withHint(err error, text string) string {
	if hint := stages.Hint(err); hint != "" {
		text += "\n  hint: " + strings.ReplaceAll(hint, "\n", "\n        ")
	}
	return text
}

func isImage(err error) bool {
	_, ok := errors.AsType[*kbld.ImageError](err)
	return ok
}

// parts are the errors that an error was joined of.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}
