package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const (
	// defaultFile is taken when no file is given and it exists.
	defaultFile = "app.yaml"
	// stdinFile stands for standard input.
	stdinFile = "-"
	// maxInput bounds what is read of a file that may be endless; the schema's own limit is below it.
	maxInput = 32 << 20
)

// A once is the value of a flag that may be given only once.
type once struct {
	value string
	given bool
}

func (o *once) String() string { return o.value }

func (o *once) Type() string { return "FILE" }

// Set refuses a second value, of which one would be lost silently. The same again is none: completion reads
// flags twice.
func (o *once) Set(value string) error {
	if o.given && value != o.value {
		return errors.New("it is the second file, and one is expected")
	}
	o.value, o.given = value, true
	return nil
}

// fileFlags name the file that a command works on.
type fileFlags struct{ file once }

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().VarP(&f.file, "file", "f", "file with an App or Pipeline, or - for standard input (default: "+defaultFile+")")
	fromEnv(cmd.Flags(), "file", "STRAKE_FILE")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml") // the flag exists
}

// name returns the file's name.
func (f *fileFlags) name() (string, error) {
	if f.file.value != "" {
		return f.file.value, nil
	}
	if _, err := os.Stat(defaultFile); err == nil {
		return defaultFile, nil
	}
	return "", stages.WithHint(errors.New("no file is given, and there is no "+defaultFile+" here"), "name one with -f FILE, or use -f - for standard input")
}

// loader returns what compiles files. Problems are [schema.Diagnostics], also when a file can't be read.
func (t *tool) loader(ctx context.Context, plugins func(schema.TargetKube) (*stages.Registry, error)) *pipeline.Loader {
	return &pipeline.Loader{
		Plugins: plugins,
		Given:   pipeline.Given{Env: t.lookupEnv},
		Read: func(name string) ([]byte, error) {
			data, err := t.read(ctx, name)
			switch {
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case err != nil:
				return nil, unreadable(name, err)
			}
			return data, nil
		},
	}
}

// read returns when ctx ends, although somebody at a terminal may never end the input.
func (t *tool) read(ctx context.Context, name string) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := t.readAll(name)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (t *tool) readAll(name string) ([]byte, error) {
	if name == stdinFile {
		return io.ReadAll(io.LimitReader(t.in, maxInput))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxInput))
}

func unreadable(name string, err error) schema.Diagnostics {
	d := schema.Diagnostic{Pos: schema.Pos{File: name}, Msg: "can't be read: " + reason(err)}
	if info, statErr := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		d.Msg = "no such file"
	} else if statErr == nil && info.IsDir() {
		d.Msg = "is a folder, expected a file"
		if inside := filepath.Join(name, defaultFile); exists(inside) {
			d.Hint = "did you mean " + inside + "?"
		}
	}
	return schema.Diagnostics{d}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// reason leaves out of an error of the file system what the message says already.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// folder is the one that local paths of a file count from.
func folder(name string) string {
	if name == stdinFile {
		return "."
	}
	return filepath.Dir(name)
}
