package ytt

import (
	"context"
	"fmt"
	"io"

	yttcmd "carvel.dev/ytt/pkg/cmd"
	"carvel.dev/ytt/pkg/cmd/template"
	"carvel.dev/ytt/pkg/yamlmeta"
	"github.com/cppforlife/cobrautil"
	uierrors "github.com/cppforlife/go-cli-ui/errors"
	"github.com/spf13/cobra"
)

// A Program is what the command line needs from the program that it is part of.
type Program struct {
	// Stdout and Stderr are where results, and what else there is to say, go. What the library prints
	// by itself, such as help, goes to those of the process.
	Stdout, Stderr io.Writer
	// Paths, if not nil, is given the paths of files before any is read: those of “-f”, and of files with
	// data values.
	Paths func(paths []string) error
	// Documents, if not nil, is given the documents before they are printed, and says whether it has
	// changed any. The paths are those of “-f”, as they were given. Documents that are written to files
	// don't pass here.
	Documents func(set *yamlmeta.DocumentSet, paths []string) (changed bool, err error)
	// Abort ends the process. It is called when the context ends, as ytt can't be told to stop.
	Abort func()
}

// Main runs ytt's command line and returns an error when it failed, after it has printed it.
func Main(ctx context.Context, args []string, p Program) error {
	defer context.AfterFunc(ctx, p.Abort)()
	spendMemory()
	err := p.call(ctx, args)
	if err != nil {
		fmt.Fprintf(p.Stderr, "ytt: Error: %s\n", uierrors.NewMultiLineError(err))
	}
	return err
}

// call turns a panic into an error, because a stack trace helps no user.
func (p *Program) call(ctx context.Context, args []string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("ytt panicked: %v", v)
		}
	}()
	root := p.tree()
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// tree is the library's command tree, with our own way from templates to output.
func (p *Program) tree() *cobra.Command {
	root := yttcmd.NewDefaultYttCmd()
	p.render(root)
	for _, sub := range root.Commands() {
		switch sub.Name() {
		case "template":
			p.render(sub)
		case "website":
			serveWebsite(sub)
		}
	}
	return root
}

// render gives a command that renders templates options that are known here.
func (p *Program) render(cmd *cobra.Command) {
	o := template.NewOptions()
	cmd.ResetFlags()
	o.BindFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return p.run(cmd, o) }
	// As the library does it for all commands; the last one runs first.
	cobrautil.DisallowExtraArgs(cmd)
	cobrautil.WrapRunEForCmd(cobrautil.ResolveFlagsForCmd)(cmd)
}
