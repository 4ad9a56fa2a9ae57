package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
)

func commentsOf(t *testing.T) comments {
	t.Helper()
	c, err := readComments(root)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The pages that are checked in are what the types say, and there are no others.
func TestReferenceIsUpToDate(t *testing.T) {
	want := map[string]string{}
	for name, content := range reference(builtin(), commentsOf(t)) {
		want[name] = string(content)
	}
	got := map[string]string{}
	err := filepath.WalkDir(filepath.Join(root, referenceDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		got[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/reference isn't what the types say: run “go generate ./schema” and commit the result\n%s", diff)
	}
}

// Each page that somebody has written is one of the reference's.
func TestPagesAreOfTheReference(t *testing.T) {
	written, err := pages.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	all := reference(builtin(), commentsOf(t))
	for _, w := range written {
		if all[referenceDir+w.Name()] == nil && all[referenceDir+"plugins/"+w.Name()] == nil {
			t.Errorf("pages/%s: there is no plugin and no file of that name", w.Name())
		}
	}
}

// documented has fields of all kinds.
type documented struct {
	// Name names it | or not.
	Name string `json:"name" required:"true"`
	Mode string `json:"mode" enum:"a,b"`
	Kept
	List  []*documented   `json:"list"`
	Inner map[string]Kept `json:"inner"`
	Any   *schema.Node    `json:"any"`
	Off   string          `json:"-"`
}

func (d *documented) SetDefaults() { d.Mode = "a" }

// Kept is embedded.
type Kept struct {
	Wait time.Duration `json:"wait"`
}

func (k *Kept) SetDefaults() { k.Wait = time.Minute }

func TestTable(t *testing.T) {
	const pkg = module + "/internal/schemagen"
	p := &page{comments: comments{pkg + ".documented.Name": "Name names it | or not.", pkg + ".Kept": "Kept is embedded."}}
	p.rows("", reflect.TypeFor[documented](), nil)
	want := strings.TrimLeft(`
| `+"`name` | string |  | **Required.** name names it \\| or not."+` |
| `+"`mode` | string | `a` | One of `a`, `b`."+` |
| `+"`wait` | duration, such as `90s` | `1m0s` | "+` |
| `+"`list` | list of object |  | "+` |
| `+"`inner` | mapping to object |  | "+` |
| `+"`inner.*.wait` | duration, such as `90s` | `1m0s` | "+` |
| `+"`any` | any |  | "+` |
`, "\n")
	if diff := cmp.Diff(want, p.out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
