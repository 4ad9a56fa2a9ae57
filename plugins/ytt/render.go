package ytt

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"carvel.dev/ytt/pkg/cmd/template"
	"carvel.dev/ytt/pkg/cmd/ui"
	"carvel.dev/ytt/pkg/files"
)

// An Input is all that one rendering depends on.
type Input struct {
	// Files are what “ytt -f” reads, in order.
	Files []File
	// Values are what “ytt --data-values-file” reads, in order.
	Values []ValuesFile
	// Set are data values by dotted path, with YAML values as typed on a command line. They win over
	// Values. Where the schema wants a string, one that YAML reads as something else is taken as it
	// was typed: 1.20 stays 1.20.
	Set map[string]string
	// FileMarks are as in “ytt --file-mark”.
	FileMarks             []string
	IgnoreUnknownComments bool
	Strict                bool
	// Warn is told of what ytt warns of; nil ignores it. It isn't called once Render has returned.
	Warn func(message string)
}

// A ValuesFile is one file or folder of data values.
type ValuesFile struct {
	// Name is for messages.
	Name string
	// Files are the file itself, or the files of the folder in order.
	Files []File
}

// Render returns the documents that ytt prints for the input, byte for byte. The error is ytt's own,
// laid out over several lines as ytt does; a panic in ytt is an error too.
//
// ytt can't be interrupted: when ctx ends, Render returns and leaves the rendering to itself, which
// ends when it is done.
func Render(ctx context.Context, in Input) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type outcome struct {
		manifests []byte
		err       error
	}
	done := make(chan outcome, 1)
	warnings := &warnings{to: in.Warn}
	defer warnings.close()
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: panicError(p)}
			}
			done <- o
		}()
		o.manifests, o.err = render(in, warnings)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		return o.manifests, o.err
	}
}

func render(in Input, out ui.UI) ([]byte, error) {
	opts := template.NewOptions()
	opts.IgnoreUnknownComments = in.IgnoreUnknownComments
	opts.StrictYAML = in.Strict
	opts.FileMarksOpts.FileMarks = in.FileMarks
	values := map[string][]File{}
	for _, v := range in.Values {
		values[v.Name] = v.Files
		opts.DataValuesFlags.FromFiles = append(opts.DataValuesFlags.FromFiles, v.Name)
	}
	opts.DataValuesFlags.ReadFilesFunc = func(name string) ([]*files.File, error) { return library(values[name]) }
	if len(in.Set) > 0 {
		set, err := typedValues(in, opts, out)
		if err != nil {
			return nil, libraryError(err)
		}
		// Sorted, a mapping comes before the values below it.
		for _, key := range slices.Sorted(maps.Keys(set)) {
			opts.DataValuesFlags.KVsFromYAML = append(opts.DataValuesFlags.KVsFromYAML, key+"="+set[key])
		}
	}
	templates, err := library(in.Files)
	if err != nil {
		return nil, libraryError(err)
	}
	result := opts.RunWithFiles(template.Input{Files: templates}, out)
	if result.Err != nil {
		return nil, libraryError(result.Err)
	}
	manifests, err := result.DocSet.AsBytes()
	if err != nil {
		return nil, libraryError(fmt.Errorf("printing the documents: %w", err))
	}
	warnOfText(result.Files, out)
	if manifests == nil {
		manifests = []byte{}
	}
	return manifests, nil
}

// warnOfText says which text templates were rendered in vain: only documents are manifests.
func warnOfText(rendered []files.OutputFile, out ui.UI) {
	for _, f := range rendered {
		if f.Type() != files.TypeYAML {
			out.Warnf("%s is a text template: its result is not part of the manifests", f.RelativePath())
		}
	}
}
