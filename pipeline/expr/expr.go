package expr

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// An Env compiles expressions over what it was declared with.
type Env struct {
	env   *cel.Env
	names Names
	known []string
}

// New declares what expressions may name, by examples.
func New(examples Names) (*Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	p := &provider{Provider: registry, objects: map[string]map[string]any{}}
	options := []cel.EnvOption{cel.CustomTypeProvider(p), ext.Strings()}
	e := &Env{names: examples}
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		options = append(options, cel.Variable(name, p.typeOf(objectPrefix+name, examples[name])))
		e.known = append(e.known, name)
	}
	for _, fields := range p.objects {
		e.known = append(e.known, slices.Collect(maps.Keys(fields))...)
	}
	slices.Sort(e.known)
	e.known = slices.Compact(e.known)
	e.env, err = cel.NewEnv(options...)
	return e, err
}

// An Expr is a compiled expression.
type Expr struct {
	Text    string
	program cel.Program
	result  *cel.Type
	// names are the first names that it uses, such as params.
	names []string
	// examples are what it can be tried with.
	examples map[string]any
}

// cost bounds the work of an expression, so that none can hang a run.
const cost = 1_000_000

// Compile compiles an expression, and checks its names and types.
func (e *Env) Compile(text string) (*Expr, error) {
	parsed, issues := e.env.ParseSource(common.NewTextSource(text))
	if issues.Err() != nil {
		return nil, e.problem(text, issues)
	}
	selectByText(parsed.NativeRep())
	checked, issues := e.env.Check(parsed)
	if issues.Err() != nil {
		return nil, e.problem(text, issues)
	}
	program, err := e.env.Program(checked, cel.CostLimit(cost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	x := &Expr{Text: text, program: program, result: checked.OutputType(), examples: activation(e.names, true)}
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(n ast.Expr) {
		if n.Kind() == ast.IdentKind && !slices.Contains(x.names, n.AsIdent()) {
			x.names = append(x.names, n.AsIdent())
		}
	}))
	return x, nil
}

// Condition compiles an expression that is true or false.
func (e *Env) Condition(text string) (*Expr, error) {
	if strings.HasPrefix(strings.TrimSpace(text), opening) {
		return nil, stages.WithHint(fmt.Errorf("expression %q: found a text with an expression in it", text), "a condition is an expression itself: leave out ${{ and }}")
	}
	x, err := e.Compile(text)
	if err == nil && !x.result.IsExactType(cel.BoolType) && !x.result.IsExactType(cel.DynType) {
		err = fmt.Errorf("expression %q: expected true or false, found a value of type %s", text, x.result)
	}
	return x, err
}

// selectByText turns steps['my-step'] into what steps.my_step is: the checker knows fields by the latter only,
// and names of steps have hyphens.
func selectByText(tree *ast.AST) {
	factory := ast.NewExprFactory()
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(n ast.Expr) {
		if n.Kind() != ast.CallKind || n.AsCall().FunctionName() != operators.Index {
			return
		}
		args := n.AsCall().Args()
		of, key := args[0], args[1]
		if key.Kind() != ast.LiteralKind || (of.Kind() != ast.SelectKind && of.Kind() != ast.IdentKind) {
			return
		}
		if name, ok := key.AsLiteral().(types.String); ok {
			n.SetKindCase(factory.NewSelect(n.ID(), factory.CopyExpr(of), string(name)))
		}
	}))
}

var (
	undefined  = regexp.MustCompile(`undefined field '([^']*)'`)
	undeclared = regexp.MustCompile(`undeclared reference to '([^']*)'.*`)
)

// problem says in words of users what the first problem of an expression is.
func (e *Env) problem(text string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	what, hint := first.Message, ""
	if m := undefined.FindStringSubmatch(what); m != nil {
		what = fmt.Sprintf("there is no %q", m[1])
		// Only a near one: the others may be those of something else.
		if near := schema.Suggest(m[1], e.known); strings.HasPrefix(near, "did you mean") {
			hint = near
		}
	} else if m := undeclared.FindStringSubmatch(what); m != nil {
		what, hint = fmt.Sprintf("there is no %q", m[1]), schema.Suggest(m[1], slices.Sorted(maps.Keys(e.names)))
	}
	what, _, _ = strings.Cut(what, "\n")
	err := fmt.Errorf("expression %q, column %d: %s", text, max(1, first.Location.Column()+1), what)
	if hint == "" {
		return err
	}
	return stages.WithHint(err, "%s", hint)
}

// Names tells whether the expression uses a name, such as steps.
func (x *Expr) Names(name string) bool { return slices.Contains(x.names, name) }

// ErrUnknown says that the value of an expression depends on an [Anything] of which nothing is known.
var ErrUnknown = errors.New("the value isn't known")

// Eval returns what the expression is with those values: a string, an int64, a float64, a bool, a []any, a
// map[string]any or nil. The error may be [ErrUnknown].
func (x *Expr) Eval(values Names) (any, error) { return x.eval(activation(values, false)) }

func (x *Expr) eval(values map[string]any) (any, error) {
	result, _, err := x.program.Eval(values)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %s", x.Text, plain(err))
	}
	value, err := native(result)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", x.Text, err)
	}
	return value, nil
}

// True tells whether the expression is true with those values.
func (x *Expr) True(values Names) (bool, error) {
	value, err := x.Eval(values)
	if err != nil {
		return false, err
	}
	holds, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("expression %q: expected true or false, found %v", x.Text, value)
	}
	return holds, nil
}

// plain is what went wrong, in words of users.
func plain(err error) string {
	text := err.Error()
	if key, ok := strings.CutPrefix(text, "no such key: "); ok {
		return fmt.Sprintf("there is no %q", key)
	}
	return text
}

// native turns a value of CEL into plain data.
func native(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return int64(v), nil //nolint:gosec // counts of users are far below it
	case types.Double:
		return float64(v), nil
	case types.Bool:
		return bool(v), nil
	case types.Null:
		return nil, nil
	case *types.Err:
		return nil, v
	case *types.Unknown:
		return nil, ErrUnknown
	case traits.Mapper:
		data := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			value, err := native(v.Get(key))
			if err != nil {
				return nil, err
			}
			data[fmt.Sprint(key.Value())] = value
		}
		return data, nil
	case traits.Lister:
		data := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			value, err := native(it.Next())
			if err != nil {
				return nil, err
			}
			data = append(data, value)
		}
		return data, nil
	default:
		return nil, fmt.Errorf("a value of type %s can't be written to a file", v.Type().TypeName())
	}
}

// Try evaluates the expression with the examples that it was compiled with.
func (x *Expr) Try() (any, error) { return x.eval(x.examples) }

// activation gives names to CEL. If they are but examples, any key can be looked up in their maps.
func activation(names map[string]any, anyKeys bool) map[string]any {
	out := make(map[string]any, len(names))
	for name, value := range names {
		switch v := value.(type) {
		case map[string]any:
			out[name] = activation(v, anyKeys)
		case map[string]string:
			out[name] = v
			if anyKeys {
				out[name] = anyKey{types.NewStringStringMap(types.DefaultTypeAdapter, v)}
			}
		case Anything:
			if out[name] = v.Value; v.Value == nil {
				out[name] = types.NewUnknown(0, nil)
			}
		default:
			out[name] = v
		}
	}
	return out
}

// anyKey is a map that has every key.
type anyKey struct{ traits.Mapper }

// Find finds the value of the key, or that of another.
func (m anyKey) Find(key ref.Val) (ref.Val, bool) {
	if v, ok := m.Mapper.Find(key); ok {
		return v, true
	}
	if it := m.Iterator(); it.HasNext() == types.True {
		return m.Get(it.Next()), true
	}
	return nil, false
}

// Contains is always true.
func (m anyKey) Contains(ref.Val) ref.Val { return types.True }
