package cue

import (
	"errors"
	"fmt"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

func parseExpression(text string) (ast.Expr, error) {
	return parser.ParseExpr("outputExpression", text)
}

// parseLabels reads where values are put: an expression that is evaluated among the values and gives a
// name, or names with colons.
func parseLabels(text string) ([]ast.Label, error) {
	if expr, err := parser.ParseExpr("inputExpression", text); err == nil {
		return []ast.Label{&ast.ParenExpr{X: expr}}, nil
	}
	wrong := errors.New(`expected an expression that gives a name, such as strings.ToLower(kind), or names with colons, such as values: or "a": "b": in CUE`)
	file, err := parser.ParseFile("inputExpression", text+"_")
	if err != nil || len(file.Decls) != 1 {
		return nil, wrong
	}
	var labels []ast.Label
	for d := file.Decls[0]; ; {
		field, ok := d.(*ast.Field)
		if !ok {
			return nil, wrong
		}
		switch label := field.Label.(type) {
		case *ast.Ident, *ast.BasicLit:
			labels = append(labels, label)
		case ast.Expr:
			labels = append(labels, &ast.ParenExpr{X: label})
		default:
			return nil, wrong
		}
		below, ok := field.Value.(*ast.StructLit)
		if !ok {
			return labels, nil
		}
		if len(below.Elts) != 1 {
			return nil, wrong
		}
		d = below.Elts[0]
	}
}

// resolve evaluates the labels among values.
func (r *renderer) resolve(scope cue.Value) ([]ast.Label, error) {
	var labels []ast.Label
	for _, label := range r.labels {
		if p, ok := label.(*ast.ParenExpr); ok {
			v := r.ctx.BuildExpr(p.X, cue.InferBuiltins(true), cue.Scope(scope))
			name, err := v.String()
			if err != nil {
				return nil, fmt.Errorf("inputExpression: %w", err)
			}
			label = ast.NewString(name)
		}
		ast.SetPos(label, token.NoPos)
		labels = append(labels, label)
	}
	return labels, nil
}

// data are the documents of one file of values.
type data struct {
	name string
	docs []ast.Expr
	// file is the file itself if it is CUE.
	file *ast.File
}

// unify adds values to the files, where the labels say.
func (r *renderer) unify(all []data) error {
	for _, d := range all {
		files := []*ast.File{d.file}
		if d.file == nil {
			var err error
			if files, err = r.asFiles(d); err != nil {
				return err
			}
		}
		for _, f := range files {
			f.Filename = d.name
			if err := r.files.AddSyntax(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *renderer) asFiles(d data) ([]*ast.File, error) {
	var files []*ast.File
	placed := &ast.File{}
	for _, doc := range d.docs {
		if len(r.labels) == 0 {
			files = append(files, &ast.File{Decls: decls(doc)})
			continue
		}
		r.placed = true
		inst := r.ctx.BuildExpr(doc)
		if err := inst.Err(); err != nil {
			return nil, err
		}
		labels, err := r.resolve(inst)
		if err != nil {
			if lit, ok := doc.(*ast.BasicLit); ok && lit.Value == "null" {
				continue // an empty document has no fields to name it after
			}
			return nil, err
		}
		value := doc
		for i := len(labels) - 1; i > 0; i-- {
			value = ast.NewStruct(&ast.Field{Label: labels[i], Value: value})
		}
		placed.Decls = append(placed.Decls, &ast.Field{Label: labels[0], Value: value})
	}
	if len(placed.Decls) > 0 {
		//nolint:staticcheck // the command does so too, and files of values know of no others
		if err := astutil.Sanitize(placed); err != nil {
			return nil, err
		}
		files = append(files, placed)
	}
	return files, nil
}

func decls(doc ast.Expr) []ast.Decl {
	if s, ok := doc.(*ast.StructLit); ok {
		return s.Elts
	}
	return []ast.Decl{&ast.EmbedDecl{Expr: doc}}
}

// place puts the whole result where the labels say if there were no values to be put there, as the
// command does.
func (r *renderer) place(v cue.Value) (cue.Value, error) {
	if len(r.labels) == 0 || r.placed {
		return v, nil
	}
	labels, err := r.resolve(v)
	if err != nil {
		return v, err
	}
	selectors := make([]cue.Selector, len(labels))
	for i, label := range labels {
		selectors[i] = cue.Label(label)
	}
	wrapped := r.ctx.CompileString("{}").FillPath(cue.MakePath(selectors...), v)
	return wrapped, wrapped.Err()
}
