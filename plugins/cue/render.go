package cue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/encoding/yaml"

	"strake.dev/strake/stages"
)

// An Input is all that one rendering depends on.
type Input struct {
	// Files are the App's folder, in which the command would run.
	Files fs.FS
	// Paths are the arguments before the values: packages and files; default: “.”.
	Paths []string
	// Values are the values, in order.
	Values []Values
	// InputExpression is “--path”, OutputExpression “--expression”.
	InputExpression, OutputExpression string
}

// Values are one file of values.
type Values struct {
	// Name is for messages.
	Name string
	// Base is a file name, whose ending says how to read the data.
	Base string
	Data []byte
}

// Render returns what cue export --out yaml prints for the input, byte for byte.
//
// CUE can't be interrupted: when ctx ends, Render returns and leaves the evaluation to itself, which
// ends when it is done.
func Render(ctx context.Context, in Input) ([]byte, error) {
	type outcome struct {
		manifests []byte
		err       error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: fmt.Errorf("cue panicked: %v", p)}
			}
			done <- o
		}()
		o.manifests, o.err = render(in)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		return o.manifests, explain(o.err)
	}
}

func render(in Input) ([]byte, error) {
	r := &renderer{ctx: cuecontext.New()}
	if in.InputExpression != "" {
		var err error
		if r.labels, err = parseLabels(in.InputExpression); err != nil {
			return nil, err
		}
	}
	if err := r.load(in); err != nil {
		return nil, err
	}
	values, ids, err := r.values()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for i, v := range values {
		if in.OutputExpression != "" {
			expr, err := parseExpression(in.OutputExpression)
			if err != nil {
				return nil, err
			}
			v = r.ctx.BuildExpr(expr, cue.Scope(v), cue.InferBuiltins(true), cue.ImportPath(ids[i]))
		}
		if v, err = r.place(v); err != nil {
			return nil, err
		}
		if err := v.Validate(cue.Concrete(true)); err != nil {
			return nil, err
		}
		text, err := yaml.Encode(v)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// A renderer does what the command does between its arguments and its output.
type renderer struct {
	ctx    *cue.Context
	labels []ast.Label

	// packages are those that paths name.
	packages []*build.Instance
	// files holds the single files of paths, and all values; nil if there are none.
	files *build.Instance
	// placed tells whether values were put where the labels say.
	placed bool
}

// load reads packages, files and values.
func (r *renderer) load(in Input) error {
	args := in.Paths
	if len(args) == 0 {
		args = []string{"."}
	}
	for i, arg := range args {
		args[i] = packageOrFile(in.Files, arg)
	}
	config := &load.Config{FS: in.Files, Dir: "/", Registry: noRegistry{}, Env: []string{}}
	var orphans []data
	for _, b := range load.Instances(args, config) {
		switch {
		case b.Err != nil:
			return b.Err
		case b.User:
			r.files = b
			for _, f := range b.OrphanedFiles {
				found, err := readOrphan(in.Files, f.Filename)
				if err != nil {
					return err
				}
				orphans = append(orphans, found)
			}
		default:
			r.packages = append(r.packages, b)
		}
	}
	for _, v := range in.Values {
		found, err := decode(v.Name, v.Base, v.Data)
		if err != nil {
			return err
		}
		orphans = append(orphans, found)
	}
	if len(orphans) > 0 && r.files == nil {
		r.files = build.NewContext().NewInstance("", nil)
		r.files.User = true
	}
	return r.unify(orphans)
}

// values returns what is to be exported, with the import path of each.
func (r *renderer) values() (all []cue.Value, ids []string, err error) {
	insts := r.packages
	base := cue.Value{}
	if r.files != nil {
		if len(r.packages) > 1 {
			return nil, nil, fmt.Errorf("too many packages defined (%d) in combination with files", len(r.packages))
		}
		insts = nil
		if len(r.packages) == 1 {
			base = r.ctx.BuildInstance(r.packages[0])
			if r.packages[0].Err != nil {
				return nil, nil, r.packages[0].Err
			}
		}
		if len(r.files.Files) > 0 {
			insts = append(insts, r.files)
		} else {
			return []cue.Value{base}, []string{r.packages[0].ID()}, nil
		}
	}
	for _, inst := range insts {
		v := r.ctx.BuildInstance(inst)
		if err := v.Validate(); err != nil {
			return nil, nil, err
		}
		if base.Exists() {
			v = v.Unify(base)
		}
		all, ids = append(all, v), append(ids, inst.ID())
	}
	return all, ids, nil
}

// packageOrFile returns a path in the form in which the command takes it for what it is.
func packageOrFile(files fs.FS, name string) string {
	clean := path.Clean(name)
	if info, err := fs.Stat(files, clean); err == nil && info.IsDir() && clean != "." {
		return "./" + clean
	}
	return name
}

// hints are advice for causes that CUE's messages leave open, by a part of the message.
var hints = []struct{ cause, advice string }{
	{"no registry is asked", "vendor the module: put its files under cue.mod/pkg or cue.mod/usr, for example with a fetch entry"},
	{"incomplete value", "the value is not given: set it with valuesFrom or --set"},
	{"conflicting values", "the value and the package say different things: correct one of them"},
	{"field not allowed", "the package has no such field: correct its name, or set inputExpression"},
	{"no package name", "begin the files with “package NAME”, or list them under paths"},
	{"no CUE files in", "list under paths the folder of the package, or its files"},
}

// explain lays an error of CUE out with all places.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(cueerrors.Details(err, &cueerrors.Config{Cwd: "/", ToSlash: true}))
	for _, h := range hints {
		if strings.Contains(text, h.cause) {
			return stages.WithHint(errors.New(text), "%s", h.advice)
		}
	}
	return errors.New(text)
}
