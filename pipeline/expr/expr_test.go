package expr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/pipeline/expr"
	"strake.dev/strake/stages"
)

var examples = expr.Names{
	"params": map[string]any{"channel": "edge", "replicas": int64(1), "fast": true},
	"target": "prod",
	"values": expr.Anything{},
	"steps": map[string]any{
		"my-images": map[string]any{"outcome": "succeeded", "outputs": map[string]any{
			"digests": map[string]string{"example": "sha256:0"}, "built": []string{"example"},
		}},
	},
}

var values = expr.Names{
	"params": map[string]any{"channel": "stable", "replicas": int64(3), "fast": false},
	"target": "staging",
	"values": map[string]any{"image": map[string]any{"tag": "v2"}},
	"steps": map[string]any{
		"my-images": map[string]any{"outcome": "succeeded", "outputs": map[string]any{
			"digests": map[string]string{"simple-app": "sha256:1"}, "built": []string{"simple-app"},
		}},
	},
}

func env(t *testing.T) *expr.Env {
	t.Helper()
	e, err := expr.New(examples)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEval(t *testing.T) {
	for text, want := range map[string]any{
		`params.channel`:                                        "stable",
		`params.replicas + 1`:                                   int64(4),
		`!params.fast && target in ['staging']`:                 true,
		`values.image.tag`:                                      "v2",
		`steps['my-images'].outputs.digests['simple-app']`:      "sha256:1",
		`steps["my-images"].outputs["digests"]["simple-app"]`:   "sha256:1",
		`steps['my-images'].outputs.built`:                      []any{"simple-app"},
		`steps['my-images'].outputs.digests`:                    map[string]any{"simple-app": "sha256:1"},
		`has(steps['my-images'].outputs.digests)`:               true,
		`'other' in steps['my-images'].outputs.digests`:         false,
		`steps['my-images'].outcome == 'succeeded' ? 1.5 : 2.5`: 1.5,
		`params.channel.upperAscii()`:                           "STABLE",
		`null`:                                                  nil,
	} {
		x, err := env(t).Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := x.Eval(values)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if _, err := x.Try(); err != nil && !strings.HasPrefix(text, "values") {
			t.Errorf("%s with examples: %v", text, err)
		}
	}
}

func TestMistakesAreFoundBeforehand(t *testing.T) {
	for text, want := range map[string][2]string{
		`params.chanel`:                        {`expression "params.chanel", column 7: there is no "chanel"`, "did you mean channel?"},
		`parms.channel`:                        {`expression "parms.channel", column 1: there is no "parms"`, "did you mean params?"},
		`params.replicas ==`:                   {`expression "params.replicas ==", column 19: Syntax error: mismatched input '<EOF>' expecting`, ""},
		`params.replicas + 'x'`:                {`expression "params.replicas + 'x'", column 17: found no matching overload for '_+_' applied to '(int, string)'`, ""},
		`steps.my_images.outputs`:              {`column 6: there is no "my_images"`, "did you mean my-images?"},
		`steps['my-images'].outputs.digest`:    {`there is no "digest"`, "did you mean digests?"},
		`params.x`:                             {`there is no "x"`, ""},
		`steps['my-images'].outputs.built.x`:   {`type 'list(string)' does not support field selection`, ""},
		`steps['my-images'].outputs.digests.x`: {"", ""},
		``:                                     {`expression "", column 1: Syntax error`, ""},
	} {
		_, err := env(t).Compile(text)
		if want[0] == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want[0]) || stages.Hint(err) != want[1] {
			t.Errorf("%s: got %v (%s), want %v", text, err, stages.Hint(err), want)
		}
	}
	for _, text := range []string{"params.channel", "params.replicas"} {
		if _, err := env(t).Condition(text); err == nil || !strings.Contains(err.Error(), "expected true or false, found a value of type") {
			t.Errorf("condition %s: %v", text, err)
		}
	}
	if _, err := env(t).Condition("${{ params.fast }}"); err == nil || stages.Hint(err) != "a condition is an expression itself: leave out ${{ and }}" {
		t.Errorf("a condition within braces: %v (%s)", err, stages.Hint(err))
	}
}

func TestSuggestionsHaveSomethingInCommon(t *testing.T) {
	e, err := expr.New(expr.Names{"params": map[string]any{"n": int64(1), "chan": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"params.q": "", "params.chn": "did you mean chan?"} {
		if _, err := e.Compile(text); stages.Hint(err) != want {
			t.Errorf("%s: hint %q, want %q", text, stages.Hint(err), want)
		}
	}
}

func TestMissingValues(t *testing.T) {
	x, err := env(t).Condition(`steps['my-images'].outputs.digests['other'] != ''`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.True(values); err == nil || !strings.HasSuffix(err.Error(), `there is no "other"`) {
		t.Errorf("got %v", err)
	}
	if ok, err := x.True(expr.Names{"steps": map[string]any{}}); ok || err == nil {
		t.Errorf("without the step: %t, %v", ok, err)
	}
}

// An expression can't hang a run.
// What nothing is known of is checked, and has no value; what is known of it is used when an expression is tried.
func TestAnything(t *testing.T) {
	for text, want := range map[string]any{
		`values.replicas`:                        expr.ErrUnknown,
		`params.replicas > values.most`:          expr.ErrUnknown,
		`values.on ? 1 : 2`:                      expr.ErrUnknown,
		`[1, values.replicas]`:                   expr.ErrUnknown,
		`values.list.map(x, x + 1)`:              expr.ErrUnknown,
		`string(values.a[0].b) + target`:         expr.ErrUnknown,
		`params.fast || values.on`:               true,
		`known.most + 1`:                         int64(4),
		`known.most > params.replicas`:           true,
		`known.deep.list[0]`:                     "x",
		`"${{ params.replicas }}" + values.name`: expr.ErrUnknown,
	} {
		e, err := expr.New(expr.Names{
			"params": map[string]any{"replicas": int64(1), "fast": true}, "target": "prod", "values": expr.Anything{},
			"known": expr.Anything{Value: map[string]any{"most": int64(3), "deep": map[string]any{"list": []any{"x"}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		x, err := e.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := x.Try()
		if wrong, ok := want.(error); ok {
			if !errors.Is(err, wrong) {
				t.Errorf("%s: got %v, %v, want %v", text, got, err, wrong)
			}
		} else if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
		if _, err := x.Eval(expr.Names{
			"params": map[string]any{"replicas": int64(1), "fast": false}, "target": "t", "known": expr.Anything{}, "values": expr.Anything{},
		}); !errors.Is(err, expr.ErrUnknown) {
			t.Errorf("%s: evaluated to %v", text, err)
		}
	}
}

func TestCostIsLimited(t *testing.T) {
	list := "[" + strings.Repeat("1,", 99) + "1]"
	x, err := env(t).Compile(list + ".all(a, " + list + ".all(b, " + list + ".all(c, " + list + ".all(d, a + b + c + d < 5))))")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Eval(values); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("got %v", err)
	}
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]any{
		"${{ params.replicas }}":                                           int64(3),
		"${{ params.channel }}-${{ params.replicas }}":                     "stable-3",
		"r.io/app@${{ steps['my-images'].outputs.digests['simple-app'] }}": "r.io/app@sha256:1",
		"$${{ params.channel }} ${{target}}":                               "${{ params.channel }} staging",
		"${{ {'a': {'b': params.fast}} }}":                                 map[string]any{"a": map[string]any{"b": false}},
		"${{ '}}' }}":                                                      "}}",
		"${{ [1] }}":                                                       []any{int64(1)},
	} {
		template, err := env(t).Template(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := template.Eval(values)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if _, err := template.Try(); err != nil {
			t.Errorf("%s with examples: %v", text, err)
		}
	}
	if template, err := env(t).Template("plain $ { }}"); template != nil || err != nil {
		t.Errorf("a plain text: %v, %v", template, err)
	}
	for text, want := range map[string]string{
		"${{ params.channel":        "expected }} after",
		"a ${{ values.image }}":     "can't be part of a text",
		"${{ values.image }} a":     "can't be part of a text",
		"${{ [1] }}${{ target }}":   "can't be part of a text",
		"${{ params.channel }} ${{": "expected }} after ${{",
	} {
		template, err := env(t).Template(text)
		if err == nil {
			_, err = template.Eval(values)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"${{ params.channel }}", "$${{", "${{ {'a': 1} }}", "${{ values.a[0].b }}", "${{", "a ${{ '}}' }} b", "${{ steps['my-images'].outputs.digests.x }}"} {
		f.Add(seed)
	}
	e, err := expr.New(examples)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		template, err := e.Template(text)
		if err == nil && template != nil {
			_, _ = template.Try()
			_, _ = template.Eval(values)
		}
	})
}
