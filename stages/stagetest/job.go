package stagetest

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// ConfigFile is the name that [Bind] gives to the file which a configuration comes from.
const ConfigFile = "test.yaml"

// Node parses a plugin's configuration; empty text gives nil, which means that none is given.
func Node(t testing.TB, config string) *schema.Node {
	t.Helper()
	nodes, err := schema.Parse(ConfigFile, []byte(config))
	if err != nil {
		t.Fatalf("configuration of the test: %v", err)
	}
	if len(nodes) == 0 {
		return nil
	}
	return nodes[0]
}

// Bind makes a step of the plugin from a configuration that is valid.
func Bind(t testing.TB, plugin stages.Plugin, config string) stages.Step {
	t.Helper()
	step, err := plugin.New(Node(t, config))
	if err != nil {
		t.Fatalf("binding %s: %v", plugin.Name, err)
	}
	return step
}

// NewJob makes a job from what the case says, in temporary folders of t. Its Events is a new
// [Recorder], which [Recorded] returns.
func NewJob(t testing.TB, c Case) *stages.Job {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, c.Beside)
	sources := newTree(t)
	writeFiles(t, sources.Dir(), c.Files)
	job := &stages.Job{
		Step:    "test",
		App:     c.App,
		Dir:     dir,
		Sources: sources,
		Folder:  cmp.Or(c.Folder, "."),
		Out:     newTree(t),
		Lock:    c.Lock,
		Objects: c.Objects,
		Target:  c.Target,
		Hide:    func([]byte) {},
		Values:  c.Values,
		Events:  &Recorder{},
	}
	job.App.Name = cmp.Or(job.App.Name, "app")
	job.App.Namespace = cmp.Or(job.App.Namespace, "default")
	if c.Manifests != "" {
		job.Manifests = stages.Manifests(c.Manifests)
	}
	if job.Lock == nil {
		job.Lock = &stages.Lock{}
	}
	if c.Setup != nil {
		c.Setup(t, job)
	}
	return job
}

// Recorded returns the Recorder of a job that [NewJob] made.
func Recorded(job *stages.Job) *Recorder { return job.Events.(*Recorder) }

// ReadFiles returns the contents of all regular files of a tree by their paths.
func ReadFiles(t testing.TB, tree *stages.Tree) map[string]string {
	t.Helper()
	names, err := tree.List(".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(tree.Root().FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(data)
	}
	return files
}

func newTree(t testing.TB) *stages.Tree {
	t.Helper()
	tree, err := stages.OpenTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, content := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := root.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
