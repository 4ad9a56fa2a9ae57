package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envAnnotation of a flag holds the name of the environment variable that equals it.
const envAnnotation = "strake.dev/env"

// fromEnv lets an environment variable set a flag that the command line doesn't give. The flag must
// be among flags already.
func fromEnv(flags *pflag.FlagSet, flag, variable string) {
	f := flags.Lookup(flag)
	f.Usage += " [" + variable + "]"
	f.Annotations = map[string][]string{envAnnotation: {variable}}
}

// readEnv sets the flags of a command from the environment.
func (t *tool) readEnv(cmd *cobra.Command) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names := f.Annotations[envAnnotation]
		if len(names) == 0 || f.Changed || failed != nil {
			return
		}
		value := t.getenv(names[0])
		if value == "" {
			return
		}
		if err := setFromEnv(f, value); err != nil {
			failed = &usageError{err: fmt.Errorf("environment variable %s=%q: %w", names[0], value, err), line: cmd.UseLine()}
		}
	})
	return failed
}

func setFromEnv(f *pflag.Flag, value string) error {
	list, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return f.Value.Set(value)
	}
	return list.Replace(strings.Split(value, ","))
}
