package expr

import (
	"fmt"
	"strings"
)

// A Template is a text with expressions: ${{ EXPRESSION }}. $${{ stands for ${{ itself.
type Template struct {
	parts []part
}

// A part is a text, or an expression.
type part struct {
	text string
	expr *Expr
}

const (
	opening = "${{"
	closing = "}}"
)

// Template compiles the expressions of a text. It is nil for a text without any.
func (e *Env) Template(text string) (*Template, error) {
	if !Has(text) {
		return nil, nil
	}
	t := &Template{}
	var literal strings.Builder
	for rest := text; ; {
		before, after, ok := strings.Cut(rest, opening)
		literal.WriteString(before)
		if !ok {
			break
		}
		if escaped := literal.String(); strings.HasSuffix(before, "$") {
			literal.Reset()
			literal.WriteString(strings.TrimSuffix(escaped, "$") + opening)
			rest = after
			continue
		}
		end := closingAt(after)
		if end < 0 {
			return nil, fmt.Errorf("expected %s after %s%s", closing, opening, after)
		}
		x, err := e.Compile(strings.TrimSpace(after[:end]))
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{text: literal.String()}, part{expr: x})
		literal.Reset()
		rest = after[end+len(closing):]
	}
	t.parts = append(t.parts, part{text: literal.String()})
	return t, nil
}

// closingAt is where an expression ends, outside of its texts and braces; -1 if it doesn't.
func closingAt(text string) int {
	var quote byte
	depth := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			switch c {
			case '\\':
				i++
			case quote:
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case strings.HasPrefix(text[i:], closing):
			return i
		}
	}
	return -1
}

// Names tells whether any of the expressions uses a name.
func (t *Template) Names(name string) bool {
	for _, p := range t.parts {
		if p.expr != nil && p.expr.Names(name) {
			return true
		}
	}
	return false
}

// Eval returns the text with the values of the expressions in it. A text that is nothing but one expression is
// that value itself: a number, a list, a mapping.
func (t *Template) Eval(values Names) (any, error) {
	return t.eval(func(x *Expr) (any, error) { return x.Eval(values) })
}

// Try is Eval with examples.
func (t *Template) Try() (any, error) { return t.eval((*Expr).Try) }

func (t *Template) eval(value func(*Expr) (any, error)) (any, error) {
	if only := t.only(); only != nil {
		return value(only)
	}
	var out strings.Builder
	for _, p := range t.parts {
		if p.expr == nil {
			out.WriteString(p.text)
			continue
		}
		v, err := value(p.expr)
		switch v := v.(type) {
		case nil:
			if err != nil {
				return nil, err
			}
		case map[string]any, []any:
			return nil, fmt.Errorf("expression %q: a list or mapping can't be part of a text", p.expr.Text)
		default:
			fmt.Fprint(&out, v)
		}
	}
	return out.String(), nil
}

// only is the expression that the text is, without anything before or after it; nil if there is more.
func (t *Template) only() *Expr {
	var only *Expr
	for _, p := range t.parts {
		if p.text != "" || p.expr != nil && only != nil {
			return nil
		}
		if p.expr != nil {
			only = p.expr
		}
	}
	return only
}

// Has tells whether a text has anything that a [Template] is for.
func Has(text string) bool { return strings.Contains(text, opening) }
