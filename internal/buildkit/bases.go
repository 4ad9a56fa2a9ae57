package buildkit

import (
	"bytes"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// baseRefs lists, sorted, the images that a Dockerfile names. What the parser doesn't understand it
// leaves for the daemon to complain about, or for another frontend to understand.
func baseRefs(dockerfile []byte, args map[string]string, wanted []string) []string {
	refs := map[string]bool{}
	if syntax, _, _, ok := parser.DetectSyntax(dockerfile); ok {
		refs[syntax] = true
	}
	ast, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return slices.Sorted(maps.Keys(refs))
	}
	stages, metaArgs, err := instructions.Parse(ast.AST, nil)
	if err != nil {
		return slices.Sorted(maps.Keys(refs))
	}
	if len(wanted) == 0 {
		wanted = []string{"linux/" + runtime.GOARCH}
	}
	for _, platform := range wanted {
		env := newScope(shell.NewLex(ast.EscapeToken), metaArgs, args, platform)
		for _, ref := range stageRefs(stages, env) {
			refs[ref] = true
		}
	}
	return slices.Sorted(maps.Keys(refs))
}

// stageRefs lists what the stages name that is no stage itself.
func stageRefs(stages []instructions.Stage, env *scope) []string {
	var refs []string
	names := map[string]bool{"scratch": true, "": true}
	add := func(name string) {
		if !names[strings.ToLower(name)] {
			refs = append(refs, name)
		}
	}
	for i, stage := range stages {
		add(env.expand(stage.BaseName))
		for _, from := range copiedFrom(stage) {
			// A number is a stage by its position.
			if _, err := strconv.Atoi(from); err != nil {
				add(from)
			}
		}
		names[strings.ToLower(stages[i].Name)] = true
	}
	return refs
}

// copiedFrom lists what the commands of a stage copy or mount from, besides the context.
func copiedFrom(stage instructions.Stage) []string {
	var from []string
	for _, cmd := range stage.Commands {
		switch cmd := cmd.(type) {
		case *instructions.CopyCommand:
			from = append(from, cmd.From)
		case *instructions.RunCommand:
			for _, m := range instructions.GetMounts(cmd) {
				from = append(from, m.From)
			}
		}
	}
	return from
}

// A scope holds the ARGs before the first FROM, which FROM may use.
type scope struct {
	lex  *shell.Lex
	vars map[string]string
}

func newScope(lex *shell.Lex, metaArgs []instructions.ArgCommand, args map[string]string, platform string) *scope {
	s := &scope{lex: lex, vars: platformArgs(platform)}
	for name := range s.vars {
		if v, ok := args[name]; ok {
			s.vars[name] = v
		}
	}
	for _, cmd := range metaArgs {
		for _, arg := range cmd.Args {
			if v, ok := args[arg.Key]; ok {
				s.vars[arg.Key] = v
			} else if arg.Value != nil {
				s.vars[arg.Key] = s.expand(*arg.Value)
			}
		}
	}
	return s
}

// expand replaces variables; a word that can't be expanded stays as it is.
func (s *scope) expand(word string) string {
	result, _, err := s.lex.ProcessWord(word, s)
	if err != nil {
		return word
	}
	return result
}

// Get and Keys make a scope a [shell.EnvGetter].
func (s *scope) Get(name string) (string, bool) {
	v, ok := s.vars[name]
	return v, ok
}

// Keys lists the names of all variables.
func (s *scope) Keys() []string { return slices.Sorted(maps.Keys(s.vars)) }

// platformArgs are the ARGs that BuildKit sets by itself. The platform that builds is taken to be
// that of this machine.
func platformArgs(platform string) map[string]string {
	vars := map[string]string{}
	for prefix, text := range map[string]string{"BUILD": "linux/" + runtime.GOARCH, "TARGET": platform} {
		p, err := platforms.Parse(text)
		if err != nil {
			continue
		}
		p = platforms.Normalize(p)
		vars[prefix+"PLATFORM"] = platforms.Format(p)
		vars[prefix+"OS"] = p.OS
		vars[prefix+"ARCH"] = p.Architecture
		vars[prefix+"VARIANT"] = p.Variant
	}
	return vars
}
