package ytt

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"

	"carvel.dev/ytt/pkg/cmd/template"
	"carvel.dev/ytt/pkg/cmd/ui"
	"carvel.dev/ytt/pkg/files"
	"github.com/spf13/cobra"

	"strake.dev/strake/cmd/strake/checked"
)

// run is what the library's own options do when they are run, but for the way to standard output.
func (p *Program) run(cmd *cobra.Command, o *template.Options) error {
	out := &checked.Writer{To: p.Stdout}
	screen := ui.NewCustomWriterTTY(o.Debug, out, p.Stderr)
	began := time.Now()
	defer func() { screen.Debugf("total: %s\n", time.Since(began)) }()

	if p.Paths != nil {
		paths, err := cmd.Flags().GetStringArray("file")
		if err != nil {
			return err
		}
		if err := p.Paths(slices.Concat(paths, o.DataValuesFlags.FromFiles)); err != nil {
			return err
		}
	}
	bulk := template.NewBulkFilesSource(o.BulkFilesSourceOpts, screen)
	regular := template.NewRegularFilesSource(o.RegularFilesSourceOpts, screen)
	source := template.FileSource(regular)
	if bulk.HasInput() {
		source = bulk
	}
	in, err := source.Input()
	if err != nil {
		return err
	}
	result := o.RunWithFiles(in, screen)
	switch {
	case bulk.HasOutput():
		err = bulk.Output(result)
	case result.Err != nil:
		return result.Err
	default:
		err = p.print(cmd, o, result, regular, screen, out)
	}
	if err == nil && out.Err != nil {
		err = fmt.Errorf("standard output: %w", out.Err)
	}
	return err
}

// print writes what was rendered to where the flags say.
func (p *Program) print(cmd *cobra.Command, o *template.Options, result template.Output, regular *template.RegularFilesSource, screen ui.UI, out io.Writer) error {
	emptied, err := cmd.Flags().GetString("dangerous-emptied-output-directory")
	if err != nil {
		return err
	}
	toFiles := emptied != "" || o.RegularFilesSourceOpts.OutputFiles != ""
	if toFiles || o.InspectFiles || o.DataValuesFlags.Inspect || o.DataValuesFlags.InspectSchema {
		return regular.Output(result)
	}
	changed := false
	if p.Documents != nil {
		paths, err := cmd.Flags().GetStringArray("file")
		if err != nil {
			return err
		}
		if changed, err = p.Documents(result.DocSet, paths); err != nil {
			return err
		}
	}
	format, err := o.RegularFilesSourceOpts.OutputType.Format()
	if changed || err != nil || format != template.RegularFilesOutputTypeYAML || slices.ContainsFunc(result.Files, isText) {
		return regular.Output(result)
	}
	screen.Debugf("### result\n")
	return join(out, result.Files)
}

// join prints the documents of files. They were marshalled for the files already, so there is no need to
// do it again, as the library does.
func join(to io.Writer, rendered []files.OutputFile) error {
	w := bufio.NewWriterSize(to, 1<<16)
	separator := ""
	for _, f := range rendered {
		if len(f.Bytes()) == 0 {
			continue
		}
		// The writer remembers its first error.
		_, _ = w.WriteString(separator)
		_, _ = w.Write(f.Bytes())
		separator = "---\n"
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

func isText(f files.OutputFile) bool { return f.Type() != files.TypeYAML }
