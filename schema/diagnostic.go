package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a configuration file. Line and Column count from 1; a zero Line means unknown.
type Pos struct {
	File   string
	Line   int
	Column int
}

// String gives the place as file:line:column, leaving out what is unknown.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// A Diagnostic is one problem of a configuration file.
type Diagnostic struct {
	Pos Pos
	// Path names the field, as in spec.fetch[0].git.url; empty for the whole document.
	Path string
	// Msg says what is wrong and what was expected.
	Msg string
	// Hint says what to do; it may be empty.
	Hint string
}

// Error gives the problem in the form file:line:column: field: problem (hint).
func (d Diagnostic) Error() string {
	var b strings.Builder
	if p := d.Pos.String(); p != "" {
		b.WriteString(p + ": ")
	}
	if d.Path != "" {
		b.WriteString(d.Path + ": ")
	}
	b.WriteString(d.Msg)
	if d.Hint != "" {
		b.WriteString(" (" + d.Hint + ")")
	}
	return b.String()
}

// Diagnostics are all the problems found in one pass, sorted by place. As an error it prints one
// problem a line.
type Diagnostics []Diagnostic

func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the diagnostics, sorted and without repetitions, as an error; nil when there are none.
func (ds Diagnostics) Err() error {
	if len(ds) == 0 {
		return nil
	}
	sorted := slices.Clone(ds)
	slices.SortStableFunc(sorted, func(a, b Diagnostic) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if c := a.Pos.Line - b.Pos.Line; c != 0 {
			return c
		}
		return a.Pos.Column - b.Pos.Column
	})
	return slices.Compact(sorted)
}

// Collect adds err to the diagnostics: those it holds or joins as they are, any other error as one
// at pos. A nil error adds nothing.
func (ds *Diagnostics) Collect(pos Pos, path string, err error) {
	switch err := err.(type) { //nolint:errorlint // what is wrapped is walked into by the case below
	case nil:
	case Diagnostics:
		*ds = append(*ds, err...)
	case Diagnostic:
		*ds = append(*ds, err)
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			ds.Collect(pos, path, e)
		}
	default:
		*ds = append(*ds, Diagnostic{Pos: pos, Path: path, Msg: err.Error()})
	}
}
