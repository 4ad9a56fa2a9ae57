package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// An enum is the value of a flag that takes one of a few words.
type enum struct {
	value   string
	allowed []string
	// what is the placeholder in help texts.
	what string
}

func (e *enum) String() string { return e.value }

func (e *enum) Type() string { return e.what }

// Set accepts only the allowed words.
func (e *enum) Set(value string) error {
	if !slices.Contains(e.allowed, value) {
		text := "expected one of " + strings.Join(e.allowed, ", ")
		if hint := schema.Suggest(value, e.allowed); strings.HasPrefix(hint, "did you mean") {
			return stages.WithHint(errors.New(text), "%s", hint)
		}
		return errors.New(text)
	}
	e.value = value
	return nil
}

// addEnum adds a flag that takes one of the words of e, with completion.
func addEnum(cmd *cobra.Command, e *enum, name, short, usage string) {
	cmd.Flags().VarP(e, name, short, usage+": "+strings.Join(e.allowed, ", "))
	// It fails only for a flag that doesn't exist or has a completion already.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(e.allowed, cobra.ShellCompDirectiveNoFileComp))
}

// timeoutFlag limits how long a command may take.
type timeoutFlag struct{ timeout length }

func (f *timeoutFlag) add(cmd *cobra.Command) {
	cmd.Flags().Var(&f.timeout, "timeout", "stop after that long, such as 10m (default: no limit)")
	fromEnv(cmd.Flags(), "timeout", "STRAKE_TIMEOUT")
}

// A length is the value of a flag that takes a length of time.
type length struct{ time.Duration }

// String is empty for no duration, so that help texts name no default.
func (d *length) String() string {
	if d.Duration == 0 {
		return ""
	}
	return d.Duration.String()
}

func (d *length) Type() string { return "DURATION" }

// Set reads the form that files have, too.
func (d *length) Set(value string) error {
	t, err := time.ParseDuration(value)
	if err != nil || t <= 0 {
		return errors.New("expected a duration such as 90s, 5m or 1h30m")
	}
	d.Duration = t
	return nil
}

// rangeFlags choose stages of a run.
type rangeFlags struct{ from, until enum }

func (f *rangeFlags) add(cmd *cobra.Command, until ...stages.Stage) {
	f.from = enum{allowed: names(stages.All()), what: "STAGE"}
	f.until = enum{allowed: names(until), what: "STAGE"}
	addEnum(cmd, &f.from, "from", "", "begin with this stage, with the workspace's results of those before it")
	addEnum(cmd, &f.until, "until", "", "end with this stage")
}

func (f *rangeFlags) check(cmd *cobra.Command) error {
	from, until := stages.Stage(f.from.value), stages.Stage(f.until.value)
	if from != "" && until != "" && until.Before(from) {
		return usagef(cmd, "--from %s comes after --until %s", from, until)
	}
	return nil
}

func names(all []stages.Stage) []string {
	var names []string
	for _, s := range all {
		names = append(names, string(s))
	}
	return names
}

// valueFlags are values for templates and parameters.
type valueFlags struct {
	set, files []string
	// usage is the command's, for errors.
	usage func() string
}

func (f *valueFlags) add(cmd *cobra.Command) {
	f.usage = cmd.UseLine
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "set a value of the templates: `KEY=VALUE`, with a dotted KEY and a YAML VALUE, or a parameter of a Pipeline (repeatable)")
	cmd.Flags().StringArrayVar(&f.files, "values", nil, "YAML `FILE` with values of the templates and parameters of a Pipeline; later ones win, and --set over all (repeatable)")
	fromEnv(cmd.Flags(), "values", "STRAKE_VALUES")
	_ = cmd.MarkFlagFilename("values", "yaml", "yml") // the flag exists
}

// give adds what the flags give to a loader; set is what --set gives.
func (f *valueFlags) give(l *pipeline.Loader, set map[string]string) error {
	l.Set = set
	var found schema.Diagnostics
	for _, name := range f.files {
		data, err := l.Read(name)
		if err != nil {
			found.Collect(schema.Pos{File: name}, "", err)
			continue
		}
		docs, err := schema.Parse(name, data)
		found.Collect(schema.Pos{File: name}, "", err)
		for _, doc := range docs {
			if !doc.IsMapping() {
				found = append(found, doc.Errorf("expected a mapping of values"))
				continue
			}
			l.Files = append(l.Files, doc)
		}
	}
	return found.Err()
}

// unitFlags choose among the runs that a Pipeline with targets or Apps makes.
type unitFlags struct{ targets, apps []string }

func (f *unitFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.targets, "target", nil, "run for this target of a Pipeline: `NAME` (repeatable; default: all whose conditions hold)")
	fromEnv(cmd.Flags(), "target", "STRAKE_TARGETS")
	cmd.Flags().StringArrayVar(&f.apps, "app", nil, "run this App of a Pipeline: `NAME` (repeatable; default: all)")
	fromEnv(cmd.Flags(), "app", "STRAKE_APPS")
}

func (f *valueFlags) values() (map[string]string, error) {
	values := map[string]string{}
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || slices.Contains(strings.Split(key, "."), "") {
			return nil, &usageError{
				err:  stages.WithHint(fmt.Errorf("--set %q: expected KEY=VALUE", s), "for example --set image.tag=v2"),
				line: f.usage(),
			}
		}
		values[key] = value
	}
	return values, nil
}

// stages returns the chosen stages, empty for those that are not given.
func (f *rangeFlags) stages() (from, until stages.Stage) {
	return stages.Stage(f.from.value), stages.Stage(f.until.value)
}
