package pipeline

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"strake.dev/strake/pipeline/expr"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Plan is what a file compiles to: steps that are bound to their plugins, in the order in which
// they run.
type Plan struct {
	// App is what the steps run for.
	App stages.App
	// Idle says why an App is not to be run, such as that it is paused; empty if it is.
	Idle  string
	Steps []Step

	file     *schema.File
	pipeline *schema.Pipeline
	scope    scope
	// registry is the prefix that repositories are below; empty leaves them as they are.
	registry string
}

// A Step is one bound step of a plan.
type Step struct {
	Name   string
	Stage  stages.Stage
	Plugin stages.Plugin
	// Folder is the path in the App's folder that a fetch step fills.
	Folder string

	spec schema.Step
	step stages.Step
	// with is the configuration with the values of expressions in it.
	with *schema.Node
	// late tells that some of them wait for earlier steps.
	late bool
	// when is the step's condition; nil for none.
	when *expr.Expr
}

// Pos is where the step stands in the file.
func (s Step) Pos() schema.Pos {
	if n := s.spec.Node(); n != nil {
		return n.Pos()
	}
	return schema.Pos{}
}

// verifiesImages tells whether the step is one of the verify stage that looks at the manifests' images.
func (s Step) verifiesImages() bool {
	v, ok := s.step.(stages.ImageVerifier)
	return ok && s.Stage == stages.Verify && v.VerifiesImages()
}

// during is the stage with which the step runs, which for verifying images is that of building them.
func (s Step) during() stages.Stage {
	if s.verifiesImages() {
		return stages.Build
	}
	return s.Stage
}

// Compile binds every entry of a file's App or Pipeline to a plugin, or reports, as
// [schema.Diagnostics], everything that is wrong with any of them. Examples stand for what a run of a Pipeline
// is given; a [Loader] compiles what can be run.
func Compile(file *schema.File, plugins *stages.Registry) (*Plan, error) {
	known, err := examples(file)
	if err != nil {
		return nil, err
	}
	return compile(file, plugins, known)
}

func compile(file *schema.File, plugins *stages.Registry, known scope) (*Plan, error) {
	var found schema.Diagnostics
	pipe, err := asPipeline(file, plugins)
	found.Collect(schema.Pos{File: file.Name}, "", err)
	meta := file.Metadata()
	identity := pipe.Spec.Identity
	if known.namespace != "" {
		meta.Namespace, identity.DefaultNamespace = known.namespace, ""
	}
	plan := &Plan{
		App: stages.App{
			Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID,
			Labels: meta.Labels, Annotations: meta.Annotations, Identity: identity,
		},
		file: file, pipeline: pipe,
	}
	plan.scope = known.with(expr.Names{nameApp: map[string]any{"name": meta.Name, "namespace": meta.Namespace}})
	if app := file.App; app != nil {
		if app.APIVersion == schema.KappControllerGroup {
			plan.App.Record = meta.Name + ".app"
		}
		plan.App.NoopDelete = app.Spec.NoopDelete
		switch {
		case app.Spec.Canceled:
			plan.Idle = "the App is canceled (spec.canceled)"
		case app.Spec.Paused:
			plan.Idle = "the App is paused (spec.paused)"
		}
	}
	for _, spec := range pipe.Spec.Stages {
		if spec.Node() == nil {
			continue // the file's own form is broken there, which Load has reported
		}
		step, err := plan.bind(spec, plugins)
		found.Collect(spec.Node().Pos(), spec.Node().Path(), err)
		plan.Steps = append(plan.Steps, step)
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	if file.App != nil {
		plan.imagesAfterBuild()
	}
	return plan, plan.place()
}

// imagesAfterBuild moves an App's steps that verify images behind those that find out which images these are.
func (p *Plan) imagesAfterBuild() {
	var steps, images []Step
	last := 0
	for _, s := range p.Steps {
		if s.verifiesImages() {
			images = append(images, s)
			continue
		}
		steps = append(steps, s)
		if !stages.Build.Before(s.Stage) {
			last = len(steps)
		}
	}
	p.Steps = slices.Insert(steps, last, images...)
	p.pipeline.Spec.Stages = nil
	for _, s := range p.Steps {
		p.pipeline.Spec.Stages = append(p.pipeline.Spec.Stages, s.spec)
	}
}

// bind makes a step. On an error it has what later steps may name of it.
func (p *Plan) bind(spec schema.Step, plugins *stages.Registry) (Step, error) {
	stage := stages.Stage(spec.Stage)
	plugin, ok := plugins.Named(stage, spec.Uses)
	if !ok {
		d := spec.Node().Errorf("no plugin %q for the %s stage", spec.Uses, spec.Stage)
		if at := spec.Node().Get("uses"); at != nil {
			d.Pos, d.Path = at.Pos(), at.Path()
		}
		d.Hint = schema.Suggest(spec.Uses, plugins.Names(stage))
		return Step{Name: spec.Name, Stage: stage, spec: spec}, d
	}
	step := Step{Name: spec.Name, Stage: stage, Plugin: plugin, spec: spec}
	with := spec.With
	if with == nil {
		// Messages about what is missing then name the step's place.
		empty, err := schema.NewNode(map[string]any{}, spec.Node().Pos(), spec.Node().Path())
		if err != nil {
			return step, err
		}
		with = empty
	}
	if p.file.Pipeline == nil {
		return step.bound(with)
	}
	var found schema.Diagnostics
	var err error
	step.when, err = p.scope.condition(spec.Node(), spec.When, p.Steps)
	found.Collect(spec.Node().Pos(), spec.Node().Path(), err)
	right, err := p.scope.replace(with, p.Steps)
	if step.late = right.late; err == nil {
		step, err = step.bound(right.node)
	}
	found.Collect(spec.Node().Pos(), spec.Node().Path(), err)
	return step, right.known(found).Err()
}

// bound returns the step with a configuration.
func (s Step) bound(with *schema.Node) (_ Step, err error) {
	s.with = with
	s.step, err = s.Plugin.New(with)
	return s, err
}

// place gives every fetch step its folder: the one it asks for, the App's folder itself for a single
// source, else its position. No folder may lie in another.
func (p *Plan) place() error {
	var fetches []*Step
	for i := range p.Steps {
		if p.Steps[i].Stage == stages.Fetch {
			fetches = append(fetches, &p.Steps[i])
		}
	}
	var found schema.Diagnostics
	for i, s := range fetches {
		folder := ""
		if placer, ok := s.step.(stages.Placer); ok {
			folder = placer.Folder()
		}
		switch {
		case folder != "":
			clean, err := stages.Clean(folder)
			if err == nil && clean == "." && len(fetches) > 1 {
				err = errors.New("the App's folder itself can only be filled by a single source")
			}
			if err != nil {
				found.Collect(s.Pos(), s.spec.Node().Path()+".path", err)
			}
			s.Folder = clean
		case len(fetches) == 1:
			s.Folder = "."
		default:
			s.Folder = fmt.Sprint(i)
		}
		for _, other := range fetches[:i] {
			if other.Folder == s.Folder || inside(other.Folder, s.Folder) || inside(s.Folder, other.Folder) {
				found = append(found, s.spec.Node().Errorf("path %q overlaps with path %q of the source at %s", s.Folder, other.Folder, other.Pos()))
			}
		}
	}
	return found.Err()
}

func inside(child, parent string) bool { return strings.HasPrefix(child, parent+"/") }

// File is what the plan was compiled from.
func (p *Plan) File() *schema.File { return p.file }

// Pipeline is the explicit form of the plan, which an App was compiled to.
func (p *Plan) Pipeline() *schema.Pipeline { return p.pipeline }

// YAML prints the explicit form of the plan: the Pipeline that an App was compiled to, or else the file's own.
func (p *Plan) YAML() ([]byte, error) {
	if p.file.Pipeline != nil {
		return p.file.Root().YAML()
	}
	return p.pipeline.YAML()
}

// asPipeline returns the Pipeline that a file's App stands for, or the file's own Pipeline. With an
// error it holds the entries that are in order.
func asPipeline(file *schema.File, plugins *stages.Registry) (*schema.Pipeline, error) {
	if file.Pipeline != nil {
		return file.Pipeline, nil
	}
	app := file.App
	pipe := &schema.Pipeline{APIVersion: schema.APIVersion, Kind: schema.KindPipeline, Metadata: app.Metadata}
	pipe.Spec.Identity = app.Spec.Identity
	c := &appCompiler{plugins: plugins, names: map[string]int{}}
	c.entries(stages.Fetch, app.Spec.Fetch)
	c.entries(stages.Verify, app.Spec.Verify)
	c.entries(stages.Template, app.Spec.Template)
	c.entries(stages.Build, app.Spec.Build)
	c.entries(stages.Publish, app.Spec.Publish)
	c.entries(stages.Deploy, app.Spec.Deploy)
	pipe.Spec.Stages = c.steps
	return pipe, c.found.Err()
}

type appCompiler struct {
	plugins *stages.Registry
	steps   []schema.Step
	names   map[string]int
	found   schema.Diagnostics
}

func (c *appCompiler) entries(stage stages.Stage, entries []schema.Entry) {
	for _, e := range entries {
		if e.Node == nil {
			continue // not a mapping, which Load has reported
		}
		step, err := c.entry(stage, e.Node)
		if err != nil {
			c.found.Collect(e.Node.Pos(), e.Node.Path(), err)
			continue
		}
		c.steps = append(c.steps, step)
	}
}

func (c *appCompiler) entry(stage stages.Stage, n *schema.Node) (schema.Step, error) {
	var unknown []schema.Pair
	for _, p := range n.Pairs() {
		// In a kapp-controller App the build stage stands among the templates, as kbld.
		in := stage
		plugin, ok := c.plugins.ByKey(in, p.Key)
		if !ok && stage == stages.Template {
			if plugin, ok = c.plugins.ByKey(stages.Build, p.Key); ok {
				in = stages.Build
			}
		}
		if !ok {
			unknown = append(unknown, p)
			continue
		}
		if plugin.Whole {
			return c.step(in, plugin, n, n, p.Key), nil
		}
		if len(n.Pairs()) > 1 {
			return schema.Step{}, n.Errorf("an entry names one plugin, found %d keys: %s", len(n.Pairs()), keys(n))
		}
		with := p.Value
		if with.IsNull() {
			with = nil
		}
		return c.step(in, plugin, n, with, p.Key), nil
	}
	p := unknown[0]
	for _, u := range unknown {
		if u.Key != "path" {
			p = u
			break
		}
	}
	return schema.Step{}, schema.Diagnostic{
		Pos: p.KeyPos, Path: n.Path(),
		Msg:  fmt.Sprintf("no plugin %q for the %s stage", p.Key, stage),
		Hint: schema.Suggest(p.Key, c.plugins.Keys(stage)),
	}
}

func keys(n *schema.Node) string {
	var keys []string
	for _, p := range n.Pairs() {
		keys = append(keys, p.Key)
	}
	return strings.Join(keys, ", ")
}

// step names the step after its stage and what distinguishes it: a fetch step's path, else the key.
func (c *appCompiler) step(stage stages.Stage, plugin stages.Plugin, at, with *schema.Node, key string) schema.Step {
	distinct := key
	if p := at.Get("path").Text(); plugin.Whole && p != "" {
		distinct = path.Clean(p)
	}
	name := stepName(string(stage), distinct)
	if c.names[name]++; c.names[name] > 1 {
		name = fmt.Sprintf("%s-%d", name, c.names[name])
	}
	return schema.Step{Name: name, Stage: string(stage), Uses: plugin.Name, With: with}.At(at)
}

func stepName(stage, distinct string) string {
	return strings.TrimRight(stage+"-"+schema.NameFrom(distinct), "-")
}
