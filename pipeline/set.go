package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"strake.dev/strake/pipeline/expr"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Set is what a file compiles to: one plan, or for a Pipeline with targets or Apps one for each App of each
// target.
type Set struct {
	// Name is that of the App or Pipeline: namespace/name.
	Name  string
	Units []*Unit
	// Left are those that are left out, because their conditions don't hold.
	Left []Left
	// MaxParallel is how many of them run at the same time.
	MaxParallel int
}

// A Unit is one plan of a [Set].
type Unit struct {
	// Name is unique in the set: TARGET, APP or TARGET/APP, and empty for a plan that isn't one of several.
	Name string
	// Target and App are the names of both; they may be empty.
	Target, App string
	// File is the one with the App, or the Pipeline's.
	File string
	Plan *Plan
	// Kube is where the target's cluster is.
	Kube schema.TargetKube
	// Values are those of templates.
	Values map[string]string

	needs []*Unit
}

// A Left says why something is left out.
type Left struct{ Name, Reason string }

// A Loader compiles files.
type Loader struct {
	// Plugins returns the plugins that work with a target's cluster.
	Plugins func(schema.TargetKube) (*stages.Registry, error)
	// Read reads a file.
	Read func(name string) ([]byte, error)
	// Edits change each App before it is compiled.
	Edits []func(*schema.File) error
	Given
	// Targets and Apps are the names of those to compile; empty for all.
	Targets, Apps []string
	// Check compiles all targets and Apps, and takes examples for what isn't given, to find what is wrong.
	Check bool
}

// Load reads and compiles a file. The error is a [schema.Diagnostics] with everything that is wrong, or an
// [*UnknownUnitError].
func (l *Loader) Load(name string) (*Set, error) {
	data, err := l.Read(name)
	if err != nil {
		return nil, err
	}
	file, err := schema.Load(name, data)
	if file == nil {
		return nil, err
	}
	var found schema.Diagnostics
	found.Collect(schema.Pos{File: name}, "", err)
	meta := file.Metadata()
	set := &Set{Name: meta.Namespace + "/" + meta.Name, MaxParallel: 1}
	switch {
	case file.Pipeline == nil:
		err = l.single(set, file)
	case err == nil:
		set.MaxParallel = file.Pipeline.Spec.MaxParallel
		err = l.pipeline(set, file)
	default:
		// What steps are called is known, and what is wrong with their plugins worth telling.
		_, err = compile(file, l.registry(&found), blind())
	}
	if unknown, ok := errors.AsType[*UnknownUnitError](err); ok && len(found) == 0 {
		return nil, unknown
	}
	found.Collect(schema.Pos{File: name}, "", err)
	return set, unique(found).Err()
}

// unique leaves out what is said twice, because a file is compiled for each target.
func unique(found schema.Diagnostics) schema.Diagnostics {
	seen := map[schema.Diagnostic]bool{}
	return slices.DeleteFunc(found, func(d schema.Diagnostic) bool {
		was := seen[d]
		seen[d] = true
		return was
	})
}

func (l *Loader) registry(found *schema.Diagnostics) *stages.Registry {
	registry, err := l.Plugins(schema.TargetKube{})
	found.Collect(schema.Pos{}, "", err)
	return registry
}

// blind is a scope for a Pipeline whose own form is broken: nothing can be known of what expressions name.
func blind() scope {
	out := expr.Names{}
	for _, name := range []string{nameParams, nameEnv, nameTarget, nameRegistry, nameValues} {
		out[name] = expr.Anything{}
	}
	return scope{values: out}
}

// examples is a scope with examples of what a run of a file's Pipeline is given.
func examples(file *schema.File) (scope, error) {
	if file.Pipeline == nil {
		return scope{}, nil
	}
	var none Given
	params, err := none.params(file, true)
	if err != nil {
		return scope{}, err
	}
	env, _, err := none.variables(file, true)
	return scope{values: expr.Names{
		nameParams: params, nameEnv: env, nameTarget: "example", nameRegistry: "registry.example.com", nameValues: map[string]any{},
	}}, err
}

// single adds the only plan of an App.
func (l *Loader) single(set *Set, file *schema.File) error {
	if err := l.none("target", l.Targets); err != nil {
		return err
	}
	if err := l.none("App", slices.DeleteFunc(slices.Clone(l.Apps), func(a string) bool { return a == file.Metadata().Name })); err != nil {
		return err
	}
	values, err := l.values(nil, nil)
	if err != nil {
		return err
	}
	plan, err := l.compile(file, schema.TargetKube{}, scope{})
	set.Units = []*Unit{{App: file.Metadata().Name, File: file.Name, Plan: plan, Values: values}}
	return err
}

// compile lets edits change a file, and compiles it.
func (l *Loader) compile(file *schema.File, kube schema.TargetKube, known scope) (*Plan, error) {
	registry, err := l.Plugins(kube)
	if err != nil {
		return nil, err
	}
	var found schema.Diagnostics
	for _, edit := range l.Edits {
		found.Collect(schema.Pos{File: file.Name}, "", edit(file))
	}
	plan, err := compile(file, registry, known)
	found.Collect(schema.Pos{File: file.Name}, "", err)
	return plan, found.Err()
}

// none refuses names where there are none to choose from.
func (l *Loader) none(what string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return &UnknownUnitError{What: what, Name: names[0]}
}

// An UnknownUnitError says that a file has no target or App of a name.
type UnknownUnitError struct {
	// What is target or App.
	What, Name string
	// Known are those that there are.
	Known []string
}

func (e *UnknownUnitError) Error() string { return fmt.Sprintf("there is no %s %q", e.What, e.Name) }

// choose checks that what is asked for exists.
func choose(what string, asked, known []string) error {
	for _, name := range asked {
		if !slices.Contains(known, name) {
			return &UnknownUnitError{What: what, Name: name, Known: known}
		}
	}
	return nil
}

// chosen tells whether a name is one of those that are asked for, or all are.
func chosen(asked []string, name string) bool { return len(asked) == 0 || slices.Contains(asked, name) }

// pipeline adds the plans of a Pipeline.
func (l *Loader) pipeline(set *Set, file *schema.File) error {
	spec := &file.Pipeline.Spec
	var found schema.Diagnostics
	params, err := l.params(file, l.Check)
	found.Collect(schema.Pos{File: file.Name}, "", err)
	env, secrets, err := l.variables(file, l.Check)
	found.Collect(schema.Pos{File: file.Name}, "", err)
	base := scope{secrets: secrets, values: expr.Names{nameParams: params, nameEnv: env}}
	if err := found.Err(); err != nil {
		return err
	}
	var names []string
	for _, t := range spec.Targets {
		names = append(names, t.Name)
	}
	if err := choose("target", l.Targets, names); err != nil {
		return err
	}
	targets := spec.Targets
	if len(targets) == 0 {
		targets = []schema.Target{{}}
	}
	var apps []string
	for _, t := range targets {
		if !l.Check && !chosen(l.Targets, t.Name) {
			continue
		}
		all, err := l.target(set, file, t, base)
		found.Collect(schema.Pos{File: file.Name}, "", err)
		apps = append(apps, all...)
	}
	if err := found.Err(); err != nil {
		return err
	}
	if err := choose("App", l.Apps, apps); err != nil {
		return err
	}
	set.Units = slices.DeleteFunc(set.Units, func(u *Unit) bool { return len(l.Apps) > 0 && !slices.Contains(l.Apps, u.App) })
	return nil
}

// target adds the plans for one target, which has no name if the Pipeline has none, and returns the names of
// its Apps.
func (l *Loader) target(set *Set, file *schema.File, t schema.Target, base scope) (apps []string, err error) {
	known := base.with(expr.Names{nameTarget: t.Name})
	var found schema.Diagnostics
	if t.Name != "" {
		when, err := known.condition(t.Node(), t.When, nil)
		found.Collect(t.Node().Pos(), "", err)
		if when != nil && err == nil && !l.Check {
			holds, err := when.True(known.values)
			if err != nil {
				return nil, at(t.Node().Get("when"), err)
			}
			if !holds {
				set.Left = append(set.Left, Left{Name: t.Name, Reason: untrue(t.When)})
				return l.Apps, nil
			}
		}
		right, err := resolve(t, known)
		found.Collect(t.Node().Pos(), "", err)
		if err := found.Err(); err != nil {
			// What is wrong with the steps is worth telling, too.
			known = known.with(expr.Names{nameRegistry: expr.Anything{}, nameValues: expr.Anything{}})
			_, wrong := compile(file, l.registry(&found), known)
			found.Collect(schema.Pos{File: file.Name}, "", wrong)
			return nil, found.Err()
		}
		t = right
	}
	values, err := l.values(t.Values, file.Pipeline.Spec.Params)
	if err != nil {
		return nil, err
	}
	seen, err := nested(values)
	if err != nil {
		return nil, err
	}
	known = known.with(expr.Names{nameRegistry: t.Registry, nameValues: seen})
	known.namespace = t.Kube.Namespace
	if k := t.Kube.Kubeconfig; k != "" && !filepath.IsAbs(k) {
		t.Kube.Kubeconfig = filepath.Join(filepath.Dir(file.Name), k)
	}
	one := Unit{Target: t.Name, File: file.Name, Kube: t.Kube, Values: values}
	for _, u := range set.Units {
		if slices.Contains(t.Needs, u.Target) {
			one.needs = append(one.needs, u)
		}
	}
	if len(file.Pipeline.Spec.Apps) == 0 {
		one.Name, one.App = t.Name, file.Metadata().Name
		one.Plan, err = l.compile(file, t.Kube, known)
		set.add(&one, t)
		return []string{one.App}, err
	}
	return l.apps(set, file, t, one, known)
}

// add adds a unit for a target.
func (s *Set) add(u *Unit, t schema.Target) {
	if u.Plan != nil {
		u.Plan.registry = t.Registry
	}
	s.Units = append(s.Units, u)
}

// resolve replaces the expressions of a target.
func resolve(t schema.Target, known scope) (schema.Target, error) {
	right, err := known.replace(t.Node(), nil)
	if err != nil {
		return t, err
	}
	n := right.node
	var out schema.Target
	if err := schema.Decode(n, &out); err != nil {
		return t, err
	}
	if r := out.Registry; strings.Contains(r, "://") || strings.HasSuffix(r, "/") {
		d := n.Get("registry").Errorf("%q is not a prefix of repositories", r)
		d.Hint = "such as registry.example.com/team"
		return t, d
	}
	return out, nil
}

// apps adds the plans of the Apps that a Pipeline names, and returns their names.
func (l *Loader) apps(set *Set, file *schema.File, t schema.Target, one Unit, known scope) (names []string, err error) {
	var found schema.Diagnostics
	byName := map[string][]*Unit{}
	for _, ref := range file.Pipeline.Spec.Apps {
		here, err := l.appsOf(set, file, ref, known, t)
		found.Collect(ref.Node().Pos(), ref.Node().Path(), err)
		var needs []*Unit
		for _, name := range ref.Needs {
			if byName[name] == nil && !slices.Contains(names, name) {
				d := ref.Node().Get("needs").Errorf("no App %q comes before this one", name)
				d.Hint = schema.Suggest(name, names)
				found = append(found, d)
			}
			needs = append(needs, byName[name]...)
		}
		for _, app := range here {
			meta := app.Metadata()
			u := one
			u.App, u.File, u.Name = meta.Name, app.Name, strings.TrimPrefix(t.Name+"/"+meta.Name, "/")
			u.needs = slices.Concat(one.needs, needs)
			if slices.Contains(names, u.App) {
				found = append(found, app.Root().Get("metadata").Get("name").Errorf("%q is the name of an earlier App of the Pipeline already", u.App))
				continue
			}
			app.Secrets, app.ConfigMaps = slices.Concat(app.Secrets, file.Secrets), slices.Concat(app.ConfigMaps, file.ConfigMaps)
			u.Plan, err = l.compile(app, t.Kube, scope{namespace: known.namespace})
			found.Collect(schema.Pos{File: app.Name}, "", err)
			names = append(names, u.App)
			byName[u.App] = append(byName[u.App], &u)
			set.add(&u, t)
		}
	}
	return names, found.Err()
}

// appsOf reads the Apps of one entry.
func (l *Loader) appsOf(set *Set, file *schema.File, ref schema.AppRef, known scope, t schema.Target) ([]*schema.File, error) {
	when, err := known.condition(ref.Node(), ref.When, nil)
	if err != nil {
		return nil, err
	}
	if when != nil && !l.Check {
		holds, err := when.True(known.values)
		if err != nil {
			return nil, at(ref.Node().Get("when"), err)
		}
		if !holds {
			set.Left = append(set.Left, Left{Name: strings.TrimPrefix(t.Name+"/"+ref.Path, "/"), Reason: untrue(ref.When)})
			return nil, nil
		}
	}
	place := cmp.Or(ref.Node().Get("path"), ref.Node())
	pattern := ref.Path
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(file.Name), pattern)
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, place.Errorf("%q is not a valid pattern: %s", ref.Path, err)
	}
	// Lock files lie beside their Apps.
	files = slices.DeleteFunc(files, func(name string) bool {
		return strings.HasSuffix(name, lockSuffix) && name != pattern || name == filepath.Clean(file.Name)
	})
	if len(files) == 0 {
		return nil, place.Errorf("no file is at %s", pattern)
	}
	var found schema.Diagnostics
	var apps []*schema.File
	for _, name := range files {
		app, err := l.app(name)
		if err != nil {
			found.Collect(schema.Pos{File: name}, "", err)
			continue
		}
		apps = append(apps, app)
	}
	return apps, found.Err()
}

// app reads a file with an App.
func (l *Loader) app(name string) (*schema.File, error) {
	data, err := l.Read(name)
	if err != nil {
		return nil, err
	}
	file, err := schema.Load(name, data)
	if err != nil {
		return nil, err
	}
	if file.App == nil {
		return nil, file.Root().Get("kind").Errorf("expected an App, found a Pipeline: apps of a Pipeline name files with Apps")
	}
	return file, nil
}
