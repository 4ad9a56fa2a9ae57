package cli

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"strake.dev/strake/stages"
)

// limitFlags say what deploy steps may do.
type limitFlags struct {
	objectTimeout length
	maxPrune      percent
	allowEmpty    bool
}

func (f *limitFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&f.objectTimeout, "object-timeout", "fail if a single object takes longer than that to become ready, such as 5m (default: no limit)")
	fromEnv(flags, "object-timeout", "STRAKE_OBJECT_TIMEOUT")
	flags.Var(&f.maxPrune, "max-prune", "refuse to delete more than that share of the app's objects because they are no longer in the manifests (default: "+strconv.Itoa(stages.DefaultMaxPrune)+")")
	fromEnv(flags, "max-prune", "STRAKE_MAX_PRUNE")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "let manifests without any object delete everything")
	fromEnv(flags, "allow-empty", "STRAKE_ALLOW_EMPTY")
}

func (f *limitFlags) limits() stages.Limits {
	return stages.Limits{ObjectTimeout: f.objectTimeout.Duration, MaxPrune: f.maxPrune.value, AllowEmpty: f.allowEmpty}
}

// A percent is the value of a flag that takes a share.
type percent struct{ value int }

// String is empty for no share, so that help texts name no default.
func (p *percent) String() string {
	if p.value == 0 {
		return ""
	}
	return strconv.Itoa(p.value)
}

func (p *percent) Type() string { return "PERCENT" }

// Set takes a whole number.
func (p *percent) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 100 {
		return errors.New("expected a percentage from 1 to 100")
	}
	p.value = n
	return nil
}
