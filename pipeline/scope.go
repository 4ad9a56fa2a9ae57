package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"

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
		if _, unknown := value.(expr.Anything); name == nameValues && !unknown {
			value = expr.Anything{Value: value}
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

// replaced is a node whose expressions have given way to their values.
type replaced struct {
	node *schema.Node
	// late tells that some wait for steps and were only tried with examples.
	late bool
	// unknown are the places of those that stay, because nothing is known of what they name.
	unknown map[schema.Pos]bool
}

// replace replaces the expressions of a node by their values.
func (s scope) replace(n *schema.Node, before []Step) (replaced, error) {
	r := replaced{unknown: map[schema.Pos]bool{}}
	out, err := s.evaluate(n, before, func(text *schema.Node, t *expr.Template) (value any, err error) {
		if t.Names(nameSteps) {
			r.late = true
			value, err = t.Try()
		} else {
			value, err = t.Eval(s.values)
		}
		if errors.Is(err, expr.ErrUnknown) {
			r.unknown[text.Pos()] = true
			return text.Text(), nil
		}
		return value, err
	})
	r.node = out
	return r, err
}

// known leaves out what is said of values that aren't known.
func (r replaced) known(found schema.Diagnostics) schema.Diagnostics {
	return slices.DeleteFunc(found, func(d schema.Diagnostic) bool { return r.unknown[d.Pos] })
}

// fill replaces the expressions of a node once steps have run.
func (s scope) fill(n *schema.Node, before []Step, values expr.Names) (*schema.Node, error) {
	return s.evaluate(n, before, func(_ *schema.Node, t *expr.Template) (any, error) { return t.Eval(values) })
}

// evaluate returns a node with the values of the texts that hold expressions.
func (s scope) evaluate(n *schema.Node, before []Step, value func(*schema.Node, *expr.Template) (any, error)) (*schema.Node, error) {
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
		v, err := value(text, t)
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
		if _, err = x.Try(); errors.Is(err, expr.ErrUnknown) {
			err = nil
		}
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
