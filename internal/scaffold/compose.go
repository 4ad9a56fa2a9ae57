package scaffold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"strake.dev/strake/schema"
)

// A composition is what a compose file says, https://docs.docker.com/reference/compose-file/.
type composition struct {
	*types.Project
	// root is the folder of the App, as an absolute path.
	root string
	// raw are the services before variables were replaced.
	raw map[string]any
	// blank are the variables that have no value and no default.
	blank []string
}

// whole is a text that is one variable without a default.
var whole = regexp.MustCompile(`^\$(?:(\w+)|\{(\w+)(?::?\?[^}]*)?\})$`)

// variable is the name of the variable that a text is; empty if it is anything else.
func variable(text string) string {
	if m := whole.FindStringSubmatch(text); m != nil {
		return m[1] + m[2]
	}
	return ""
}

// readCompose reads a compose file with all that it includes and extends. Variables get their defaults: what
// they are on this machine is no business of a file that others read.
func readCompose(ctx context.Context, root, file string, text []byte) (*composition, error) {
	c := &composition{root: root}
	path := filepath.Join(root, filepath.FromSlash(file))
	details := types.ConfigDetails{
		WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path, Content: text}}, Environment: types.Mapping{},
	}
	named := func(o *loader.Options) {
		o.SetProjectName("app", true)
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
	}
	err := guarded(func() (err error) {
		c.Project, err = loader.LoadWithContext(ctx, details, named, func(o *loader.Options) { o.Interpolate.Substitute = substitute })
		return err
	})
	if err != nil {
		return nil, c.invalid(file, text, err)
	}
	var raw map[string]any
	err = guarded(func() (err error) {
		raw, err = loader.LoadModelWithContext(ctx, details, named, func(o *loader.Options) {
			o.SkipInterpolation, o.SkipValidation, o.SkipConsistencyCheck, o.SkipNormalization, o.SkipDefaultValues = true, true, true, true, true
		})
		return err
	})
	if err != nil {
		return nil, c.invalid(file, text, err)
	}
	c.raw, _ = raw["services"].(map[string]any)
	for name, v := range template.ExtractVariables(raw, template.DefaultPattern) {
		if v.DefaultValue == "" && v.PresenceValue == "" {
			c.blank = append(c.blank, name)
		}
	}
	slices.Sort(c.blank)
	return c, nil
}

// guarded turns a panic, as the library has of some mistakes, into an error.
func guarded(load func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file can't be understood: %v", p)
		}
	}()
	return load()
}

// substitute replaces variables, and leaves those empty that have to have a value.
func substitute(text string, values template.Mapping) (string, error) {
	const nothing = "\x00" // is a value, unlike an empty text
	needed := map[string]bool{}
	for {
		got, err := template.Substitute(text, func(name string) (string, bool) {
			if needed[name] {
				return nothing, true
			}
			return values(name)
		})
		missing, ok := errors.AsType[*template.MissingRequiredError](err)
		if !ok || needed[missing.Variable] {
			return strings.ReplaceAll(got, nothing, ""), err
		}
		needed[missing.Variable] = true
	}
}

// invalid says what is wrong with a compose file, with the line where it isn't YAML.
func (c *composition) invalid(file string, text []byte, err error) error {
	if _, broken := schema.Parse(file, text); broken != nil {
		return broken
	}
	why := strings.TrimPrefix(strings.ReplaceAll(err.Error(), c.root+string(filepath.Separator), ""), "validating "+file+": ")
	return fmt.Errorf("%s: %s", file, strings.ReplaceAll(why, " false schema", ": no such field"))
}

// unset is the name of the variable that an entry of a service's environment takes its value from.
func (c *composition) unset(service, entry string) string {
	s, _ := c.raw[service].(map[string]any)
	switch environment := s["environment"].(type) {
	case map[string]any:
		switch value := environment[entry].(type) {
		case nil:
			return entry
		case string:
			return variable(value)
		}
	case []any:
		for _, item := range environment {
			text, _ := item.(string)
			if text == entry {
				return entry
			}
			if value, ok := strings.CutPrefix(text, entry+"="); ok {
				return variable(value)
			}
		}
	}
	return ""
}

// compose writes objects for the services of a compose file.
func (w *writer) compose(ctx context.Context, a *app, file string) error {
	text, err := w.found.read(file)
	if err != nil {
		return err
	}
	c, err := readCompose(ctx, w.found.root, file, text)
	if err != nil {
		return err
	}
	if len(c.Services) == 0 {
		return schema.Diagnostics{{Pos: schema.Pos{File: file}, Path: "services", Msg: "expected at least one service"}}
	}
	w.assume("the services of %s are Deployments, each with a Service", file)
	var objects []any
	claimed := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := service{w: w, c: c, file: file, config: c.Services[name], name: Name(name), claimed: claimed}
		objects = append(objects, s.objects(a)...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.DisabledServices)) {
		w.assume("service %s is left out, as it is only for the profiles %s", name, strings.Join(c.DisabledServices[name].Profiles, ", "))
	}
	for _, v := range slices.Sorted(maps.Keys(claimed)) {
		if !c.Volumes[v].External {
			objects = append(objects, claim(Name(v)))
			w.assume("volume %s is a PersistentVolumeClaim of %s", v, claimSize)
		}
	}
	w.inline(a, objects)
	if rest := slices.DeleteFunc(slices.Clone(c.blank), func(v string) bool { return w.secret[v] }); len(rest) > 0 {
		w.assume("variables of %s that have no default are empty: %s", file, strings.Join(rest, ", "))
	}
	return nil
}

// claimSize is that of a volume, of which a compose file doesn't say it.
const claimSize = "1Gi"

func claim(name string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": claimSize}},
		},
	}
}
