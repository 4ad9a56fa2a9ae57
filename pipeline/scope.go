package pipeline

import (
	"fmt"
	"maps"

	"strake.dev/strake/pipeline/expr"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// The names that expressions of a Pipeline begin with.
const (
	nameParams   = "params"
	nameEnv      = "env"
	nameTarget   = "target"
	nameRegistry = "registry"
	nameValues   = "values"
	nameApp      = "app"
	nameSteps    = "steps"
)

// A scope is what expressions of a Pipeline may name before any step has run.
type scope struct {
	values expr.Names
	// secrets are values of the environment that are kept out of all texts.
	secrets []string
	// namespace, if not empty, is that of the target.
	namespace string
}

// with returns the scope with more names.
func (s scope) with(more expr.Names) scope {
	out := scope{values: expr.Names{}, secrets: s.secrets, namespace: s.namespace}
	for _, names := range []expr.Names{s.values, more} {
		maps.Copy(out.values, names)
	}
	return out
}

// examples are the names as an [expr.Env] wants them declared, with the outputs of steps before.
func (s scope) examples(before []Step) expr.Names {
	out := expr.Names{}
	for name, value := range s.values {
		if name == nameValues {
			value = expr.Anything{}
		}
		out[name] = value
	}
	steps := map[string]any{}
	for _, step := range before {
		outputs := map[string]any{}
		for _, o := range step.outputs() {
			outputs[o.Name] = o.Example
		}
		steps[step.Name] = map[string]any{"outcome": StatusDone, "outputs": outputs}
	}
	out[nameSteps] = steps
	return out
}

// replace returns a node in which expressions are replaced by their values; late tells that some wait for
// steps and were only tried with examples.
func (s scope) replace(n *schema.Node, before []Step) (_ *schema.Node, late bool, err error) {
	out, err := s.evaluate(n, before, func(t *expr.Template) (any, error) {
		if t.Names(nameSteps) {
			late = true
			return t.Try()
		}
		return t.Eval(s.values)
	})
	return out, late, err
}

// fill replaces the expressions of a node once steps have run.
func (s scope) fill(n *schema.Node, before []Step, values expr.Names) (*schema.Node, error) {
	return s.evaluate(n, before, func(t *expr.Template) (any, error) { return t.Eval(values) })
}

// evaluate returns a node with the values of the texts that hold expressions.
func (s scope) evaluate(n *schema.Node, before []Step, value func(*expr.Template) (any, error)) (*schema.Node, error) {
	var env *expr.Env
	return n.Replace(func(text *schema.Node) (any, error) {
		if !expr.Has(text.Text()) {
			return text.Text(), nil
		}
		if env == nil {
			var err error
			if env, err = expr.New(s.examples(before)); err != nil {
				return nil, err
			}
		}
		t, err := env.Template(text.Text())
		if err != nil {
			return nil, at(text, err)
		}
		v, err := value(t)
		return v, at(text, err)
	})
}

// condition compiles the condition of a node's field “when”; nil if it has none.
func (s scope) condition(n *schema.Node, text string, before []Step) (*expr.Expr, error) {
	if text == "" {
		return nil, nil
	}
	env, err := expr.New(s.examples(before))
	if err != nil {
		return nil, err
	}
	x, err := env.Condition(text)
	if err == nil {
		_, err = x.Try()
	}
	return x, at(n.Get("when"), err)
}

// at gives an error the place of a node.
func at(n *schema.Node, err error) error {
	if err == nil {
		return nil
	}
	d := n.Errorf("%s", err)
	d.Hint = stages.Hint(err)
	return d
}

// untrue is why something whose condition doesn't hold is left out.
func untrue(when string) string { return fmt.Sprintf("when: %s is false", when) }
