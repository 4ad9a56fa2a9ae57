// Package snippets reads the code of the project's documents, for the tests that run it.
package snippets

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// A Snippet is a block of code in a document. What is done with it says its info string:
//
//	console          what is typed, after “$ ”, and what is printed
//	sh               a script
//	yaml             an App, Pipeline, PackageInstall or SignaturePolicy, a part of an App, or a kbld Config
//	yaml fragment    some other YAML
//	text             nothing
type Snippet struct {
	// File is the document, below the repository's folder.
	File string
	// Line is where the block begins.
	Line       int
	Info, Text string
}

// Place is where the snippet is.
func (s *Snippet) Place() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// Documents are all files that people read, below the repository's folder.
func Documents(repository string) ([]string, error) {
	files := []string{"README.md"}
	for _, dir := range []string{"docs", "examples"} {
		err := fs.WalkDir(os.DirFS(repository), dir, func(name string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(name, ".md") {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

var (
	fenced   = regexp.MustCompile("(?ms)^ *```([^\n`]*)\n(.*?)^ *```$")
	indented = regexp.MustCompile(`(?m)^\n {4,}\S.*`)
)

// Of returns the snippets of a document. Code that a test wouldn't find is an error.
func Of(repository, file string) ([]Snippet, error) {
	data, err := os.ReadFile(path.Join(repository, file))
	if err != nil {
		return nil, err
	}
	text := string(data)
	var all []Snippet
	for _, m := range fenced.FindAllStringSubmatchIndex(text, -1) {
		all = append(all, Snippet{File: file, Line: strings.Count(text[:m[0]], "\n") + 1, Info: text[m[2]:m[3]], Text: text[m[4]:m[5]]})
	}
	if n := strings.Count(text, "```"); n%2 != 0 || n/2 != len(all) {
		return nil, fmt.Errorf("%s: a block isn't closed, or one isn't found", file)
	}
	if m := indented.FindString(Prose(text)); m != "" {
		return nil, fmt.Errorf("%s: code that is indented isn't tested; use a fenced block: %s", file, m)
	}
	return all, nil
}

// Prose is a document without its blocks of code.
func Prose(text string) string { return fenced.ReplaceAllString(text, "") }

// A Call is what is typed at a prompt.
type Call struct {
	Command string
	// Output is what the document says that it prints; empty where it says nothing.
	Output string
}

// prompt begins what is typed, which goes on as long as its lines end in what continues them.
var (
	prompt = regexp.MustCompile(`(?m)^ *\$ ((?:.*(?:\\|&&|\||;|do)\n)*.*)\n?`)
	blanks = regexp.MustCompile(`(?m)^\s+$`)
)

// Calls are those of a console.
func (s *Snippet) Calls() []Call {
	found := prompt.FindAllStringSubmatchIndex(s.Text, -1)
	calls := make([]Call, len(found))
	for i, m := range found {
		end := len(s.Text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		calls[i] = Call{Command: s.Text[m[2]:m[3]], Output: blanks.ReplaceAllString(s.Text[m[1]:end], "")}
	}
	return calls
}
