package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A usageError says that a command was called wrongly.
type usageError struct {
	err  error
	line string
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), line: cmd.UseLine()}
}

// flagError adds a hint to an error of the flag parser.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		hint := schema.Suggest(unknown.GetSpecifiedName(), names)
		if near, ok := strings.CutPrefix(hint, "did you mean "); ok {
			err = stages.WithHint(err, "did you mean --%s", near)
		}
	}
	return &usageError{err: err, line: cmd.UseLine()}
}

// noArgs refuses arguments: files are given with a flag.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unexpected argument %q", args[0])
	if cmd.Flags().Lookup("file") != nil {
		err = stages.WithHint(err, "a file is given with -f: strake %s -f %s", cmd.Name(), args[0])
	}
	return &usageError{err: err, line: cmd.UseLine()}
}

// oneOf accepts at most one argument, which is one of names.
func oneOf(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef(cmd, "expected at most one argument, found %d", len(args))
		}
		for _, arg := range args {
			if err := (&enum{allowed: names}).Set(arg); err != nil {
				return &usageError{err: fmt.Errorf("argument %q: %w", arg, err), line: cmd.UseLine()}
			}
		}
		return nil
	}
}

// noCommand explains an argument of the root command that is none of its commands.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = stages.WithHint(err, "did you mean %s?", strings.Join(near, " or "))
	} else {
		err = stages.WithHint(err, "strake help lists the commands")
	}
	return &usageError{err: err, line: cmd.Name() + " COMMAND [flags]"}
}
