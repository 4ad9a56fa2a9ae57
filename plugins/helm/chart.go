package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/stages"
)

var utf8bom = []byte{0xEF, 0xBB, 0xBF}

// read reads a chart from the tree, a folder or an archive, and returns what makes a Chart of it.
func read(ctx context.Context, tree *stages.Tree, name string) (func() (*chart.Chart, error), error) {
	clean, err := stages.Clean(name)
	if err != nil {
		return nil, err
	}
	files := tree.FS()
	info, err := fs.Stat(files, clean)
	if err != nil {
		// Path has the messages for what isn't there and for what leads out of the tree.
		if _, explained := tree.Path(clean); explained != nil {
			err = explained
		}
		return nil, stages.WithHint(fmt.Errorf("chart: %w", err), "path counts from the App's folder")
	}
	if !info.IsDir() {
		data, err := fs.ReadFile(files, clean)
		if err != nil {
			return nil, err
		}
		return func() (*chart.Chart, error) {
			c, err := loader.LoadArchive(bytes.NewReader(data))
			if err != nil {
				return nil, fmt.Errorf("chart %s: %w", clean, err)
			}
			return c, checkVersion(c)
		}, nil
	}
	found, err := readFolder(ctx, tree, clean)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", clean, err)
	}
	return func() (*chart.Chart, error) {
		// The loader changes the names of the files.
		own := make([]*archive.BufferedFile, len(found))
		for i, f := range found {
			file := *f
			own[i] = &file
		}
		c, err := loader.LoadFiles(own)
		if err != nil {
			return nil, fmt.Errorf("chart %s: %w", clean, err)
		}
		return c, checkVersion(c)
	}, nil
}

func checkVersion(c *chart.Chart) error {
	if v := c.Metadata.APIVersion; v != chart.APIVersionV1 && v != chart.APIVersionV2 {
		return fmt.Errorf("chart %s: apiVersion %q is not supported, expected v1 or v2", c.Name(), v)
	}
	return nil
}

// readFolder reads a chart's files in Helm's order, without those that .helmignore names. Symbolic
// links are followed, as Helm does, but not out of the App's folder.
func readFolder(ctx context.Context, tree *stages.Tree, dir string) ([]*archive.BufferedFile, error) {
	files := tree.FS()
	// Helm would report a broken Chart.yaml as some problem with the version.
	data, err := fs.ReadFile(files, path.Join(dir, "Chart.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("Chart.yaml file is missing") //nolint:staticcheck // the file's name
	} else if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, &chart.Metadata{}); err != nil {
		return nil, fmt.Errorf("cannot load Chart.yaml: %w", err)
	}
	rules := ignore.Empty()
	if data, err := fs.ReadFile(files, path.Join(dir, ignore.HelmIgnore)); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	w := &walker{ctx: ctx, tree: tree, files: files, top: dir, rules: rules, budget: archive.MaxDecompressedChartSize}
	err = w.folder("")
	return w.found, err
}

// A walker collects the files of a chart.
type walker struct {
	ctx   context.Context
	tree  *stages.Tree
	files fs.FS
	top   string
	rules *ignore.Rules
	// budget is how many bytes a chart may still have.
	budget int64
	found  []*archive.BufferedFile
}

func (w *walker) folder(dir string) error {
	entries, err := fs.ReadDir(w.files, path.Join(w.top, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(name string) error {
	at := path.Join(w.top, name)
	info, err := fs.Stat(w.files, at)
	if err != nil {
		if _, explained := w.tree.Path(at); explained != nil {
			err = explained
		}
		return err
	}
	switch {
	case w.rules.Ignore(name, info):
		return nil
	case info.IsDir():
		return w.folder(name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: expected a file or folder, found %s", name, info.Mode().Type())
	}
	if w.budget -= info.Size(); w.budget < 0 {
		return fmt.Errorf("the chart is larger than %d bytes", archive.MaxDecompressedChartSize)
	}
	data, err := fs.ReadFile(w.files, at)
	if err != nil {
		return err
	}
	w.found = append(w.found, &archive.BufferedFile{Name: name, ModTime: info.ModTime(), Data: bytes.TrimPrefix(data, utf8bom)})
	return nil
}
