package unpack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"strake.dev/strake/plugins/vendir/unpack"
)

// An entry of an archive, in the order of the tests.
type entry struct {
	name, body, link string
	typ              byte // of tar; 0 is a regular file
	mode             int64
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.typ, Mode: e.mode, Size: int64(len(e.body))}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if e.typ == tar.TypeXGlobalHeader { // as git archive writes it
			h = &tar.Header{Typeflag: e.typ, PAXRecords: map[string]string{"comment": "c"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zipEntry struct {
	name, body string
	mode       fs.FileMode
}

func zipOf(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t testing.TB, data []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "packed"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return f
}

// A cage is a folder with something beside it that must stay as it is.
type cage struct {
	t      testing.TB
	around string
	root   *os.Root
}

func newCage(t testing.TB) *cage {
	t.Helper()
	around := t.TempDir()
	if err := os.WriteFile(filepath.Join(around, "canary"), []byte("alive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(around, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(around, "in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &cage{t, around, root}
}

func (c *cage) checkOutside() {
	c.t.Helper()
	entries, err := os.ReadDir(c.around)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(entries) != 2 {
		c.t.Errorf("beside the folder there is now %v", entries)
	}
	info, err := os.Lstat(filepath.Join(c.around, "canary"))
	if err != nil || info.Mode() != 0o600 {
		c.t.Errorf("the file beside the folder is now %v, %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(c.around, "canary")); err != nil || string(text) != "alive" {
		c.t.Errorf("the file beside the folder now holds %q, %v", text, err)
	}
}

// tree lists what is in the folder: content, “x ” before that of executables, and links.
func (c *cage) tree() map[string]string {
	c.t.Helper()
	got := map[string]string{}
	err := fs.WalkDir(c.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		switch {
		case e.IsDir():
			got[name] = "folder"
		case e.Type() == fs.ModeSymlink:
			target, err := c.root.Readlink(name)
			got[name] = "-> " + target
			return err
		default:
			info, err := e.Info()
			if err != nil {
				return err
			}
			text, err := c.root.ReadFile(name)
			got[name] = string(text)
			if info.Mode()&0o100 != 0 {
				got[name] = "x " + string(text)
			}
			return err
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

func small() unpack.Limits {
	return unpack.Limits{Entries: 20, Bytes: 1 << 20, Ratio: 50, RatioFrom: 64 << 10, Name: 300}
}

func TestHostileArchives(t *testing.T) {
	zeros := strings.Repeat("\x00", 900<<10)
	tests := map[string]struct {
		data  []byte
		layer bool
		// entry is the one that the error has to name.
		entry, want string
	}{
		"parent":                      {data: tarOf(t, entry{name: "../canary", body: "dead"}), entry: "../canary", want: "leads out"},
		"parent deep":                 {data: tarOf(t, entry{name: "a/b/../../../canary", body: "dead"}), entry: "a/b/../../../canary", want: "leads out"},
		"parent that cancels out":     {data: tarOf(t, entry{name: "a/../b", body: "x"}), entry: "a/../b", want: "leads out"},
		"absolute":                    {data: tarOf(t, entry{name: "/tmp/canary", body: "dead"}), entry: "/tmp/canary", want: "leads out"},
		"backslashes":                 {data: tarOf(t, entry{name: `..\canary`, body: "dead"}), entry: `..\\canary`, want: "leads out"},
		"drive":                       {data: tarOf(t, entry{name: `C:\canary`, body: "dead"}), entry: `C:\\canary`, want: "leads out"},
		"folder outside":              {data: tarOf(t, entry{name: "../more/", typ: tar.TypeDir}), entry: "../more/", want: "leads out"},
		"link outside":                {data: tarOf(t, entry{name: "l", link: "../canary", typ: tar.TypeSymlink}), entry: "l", want: "leads out"},
		"link absolute":               {data: tarOf(t, entry{name: "l", link: "/etc/passwd", typ: tar.TypeSymlink}), entry: "l", want: "leads out"},
		"link out of a folder":        {data: tarOf(t, entry{name: "d/l", link: "../../canary", typ: tar.TypeSymlink}), entry: "d/l", want: "leads out"},
		"link without target":         {data: tarOf(t, entry{name: "l", typ: tar.TypeSymlink}), entry: "l", want: "without a usable target"},
		"file through a link chain":   {data: tarOf(t, entry{name: "a/b/l", link: "..", typ: tar.TypeSymlink}, entry{name: "a/b/l/up", link: "../..", typ: tar.TypeSymlink}, entry{name: "a/up/canary", body: "dead"}), entry: "a/up/canary", want: "leads out"},
		"hard link outside":           {data: tarOf(t, entry{name: "h", link: "../canary", typ: tar.TypeLink}), entry: "h", want: "leads out"},
		"hard link absolute":          {data: tarOf(t, entry{name: "h", link: "/etc/passwd", typ: tar.TypeLink}), entry: "h", want: "leads out"},
		"hard link to nothing":        {data: tarOf(t, entry{name: "h", link: "missing", typ: tar.TypeLink}), entry: "h", want: "no file of the archive"},
		"hard link to a link":         {data: tarOf(t, entry{name: "d/l", link: "../x", typ: tar.TypeSymlink}, entry{name: "h", link: "d/l", typ: tar.TypeLink}), entry: "h", want: "no file of the archive"},
		"character device":            {data: tarOf(t, entry{name: "null", typ: tar.TypeChar}), entry: "null", want: "device"},
		"block device":                {data: tarOf(t, entry{name: "sda", typ: tar.TypeBlock}), entry: "sda", want: "device"},
		"pipe":                        {data: tarOf(t, entry{name: "p", typ: tar.TypeFifo}), entry: "p", want: "pipe"},
		"unknown type":                {data: tarOf(t, entry{name: "u", typ: '7'}), entry: "u", want: "unknown type"},
		"setuid":                      {data: tarOf(t, entry{name: "su", body: "x", mode: 0o4755}), entry: "su", want: "setuid"},
		"setgid":                      {data: tarOf(t, entry{name: "sg", body: "x", mode: 0o2755}), entry: "sg", want: "setgid"},
		"long element":                {data: tarOf(t, entry{name: strings.Repeat("n", 256), body: "x"}), entry: "nnnn", want: "255"},
		"long path":                   {data: tarOf(t, entry{name: strings.Repeat("n/", 200) + "x", body: "x"}), entry: "n/n/", want: "300"},
		"not UTF-8":                   {data: zipOf(t, zipEntry{"a/\xa1./b", "x", 0o644}), entry: `a/\xa1./b`, want: "UTF-8"},
		"the folder as file":          {data: tarOf(t, entry{name: ".", body: "x"}), entry: ".", want: "no folder"},
		"too many entries":            {data: tarOf(t, many(21)...), entry: "f20", want: "20 entries"},
		"too many bytes":              {data: tarOf(t, entry{name: "a", body: zeros}, entry{name: "b", body: zeros}), entry: "b", want: "1048576 bytes"},
		"bomb tgz":                    {data: gz(t, tarOf(t, entry{name: "bomb", body: zeros})), entry: "bomb", want: "packed size"},
		"bomb zip":                    {data: zipOf(t, zipEntry{"bomb", zeros, 0o644}), entry: "bomb", want: "packed size"},
		"zip parent":                  {data: zipOf(t, zipEntry{"../canary", "dead", 0o644}), entry: "../canary", want: "leads out"},
		"zip absolute":                {data: zipOf(t, zipEntry{"/canary", "dead", 0o644}), entry: "/canary", want: "leads out"},
		"zip backslashes":             {data: zipOf(t, zipEntry{`a\..\..\canary`, "dead", 0o644}), entry: "canary", want: "leads out"},
		"zip link":                    {data: zipOf(t, zipEntry{"l", "../canary", 0o777 | fs.ModeSymlink}), entry: "l", want: "leads out"},
		"zip pipe":                    {data: zipOf(t, zipEntry{"p", "", 0o644 | fs.ModeNamedPipe}), entry: "p", want: "pipe"},
		"zip device":                  {data: zipOf(t, zipEntry{"d", "", 0o644 | fs.ModeDevice}), entry: "d", want: "device"},
		"zip setuid":                  {data: zipOf(t, zipEntry{"su", "x", 0o755 | fs.ModeSetuid}), entry: "su", want: "setuid"},
		"tgz parent":                  {data: gz(t, tarOf(t, entry{name: "../canary", body: "dead"})), entry: "../canary", want: "leads out"},
		"layer parent":                {layer: true, data: gz(t, tarOf(t, entry{name: "../canary", body: "dead"})), entry: "../canary", want: "leads out"},
		"layer whiteout outside":      {layer: true, data: tarOf(t, entry{name: "../.wh.canary"}), entry: "../.wh.canary", want: "leads out"},
		"layer whiteout of parent":    {layer: true, data: tarOf(t, entry{name: "d/.wh..."}), entry: "d/.wh...", want: "removes nothing"},
		"layer whiteout of nothing":   {layer: true, data: tarOf(t, entry{name: ".wh."}), entry: ".wh.", want: "removes nothing"},
		"layer whiteout through link": {layer: true, data: tarOf(t, entry{name: "a/b/l", link: "..", typ: tar.TypeSymlink}, entry{name: "a/b/l/up", link: "../..", typ: tar.TypeSymlink}, entry{name: "a/up/.wh.canary"}), entry: "a/up/.wh.canary", want: "leads out"},
		"layer device":                {layer: true, data: tarOf(t, entry{name: "null", typ: tar.TypeChar}), entry: "null", want: "device"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCage(t)
			u := unpack.New(c.root, small())
			var err error
			if test.layer {
				err = u.Layer(t.Context(), file(t, test.data))
			} else {
				err = u.Archive(t.Context(), file(t, test.data), "plain")
			}
			if _, ok := errors.AsType[*unpack.EntryError](err); !ok {
				t.Fatalf("got %v, want an EntryError; tree %v", err, c.tree())
			}
			if !strings.Contains(err.Error(), test.entry) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to name %q and say %q", err, test.entry, test.want)
			}
			c.checkOutside()
		})
	}
	if len(tests) < 25 {
		t.Errorf("%d hostile archives", len(tests))
	}
}

func many(n int) []entry {
	var entries []entry
	for i := range n {
		entries = append(entries, entry{name: "f" + string(rune('0'+i/10)) + string(rune('0'+i%10)), body: "x"})
	}
	return entries
}

func TestArchives(t *testing.T) {
	good := []entry{
		{name: "./", typ: tar.TypeDir, mode: 0o2755},
		{name: "./bin/", typ: tar.TypeDir},
		{name: "./bin/run", body: "#!", mode: 0o755},
		{name: "./empty/", typ: tar.TypeDir},
		{name: "./readme", body: "hello"},
		{name: "./bin/link", link: "../readme", typ: tar.TypeSymlink},
		{name: "./hard", link: "./readme", typ: tar.TypeLink},
		{name: "./late", body: "first"},
		{name: "./late", body: "second"},
	}
	want := map[string]string{
		"bin": "folder", "bin/run": "x #!", "empty": "folder", "readme": "hello", "bin/link": "-> ../readme", "hard": "hello", "late": "second",
	}
	tests := map[string]struct {
		data []byte
		want map[string]string
	}{
		"tar": {tarOf(t, good...), want},
		"tgz": {gz(t, tarOf(t, good...)), want},
		"zip": {
			zipOf(t, zipEntry{"bin/", "", fs.ModeDir | 0o755}, zipEntry{"bin/run", "#!", 0o755}, zipEntry{"bin/link", "run", fs.ModeSymlink | 0o777}),
			map[string]string{"bin": "folder", "bin/run": "x #!", "bin/link": "-> run"},
		},
		"plain":         {[]byte("just text"), map[string]string{"plain": "just text"}},
		"empty":         {nil, map[string]string{"plain": ""}},
		"gzip of text":  {gz(t, []byte("text")), map[string]string{"plain": string(gz(t, []byte("text")))}},
		"short gzip":    {[]byte{0x1f, 0x8b}, map[string]string{"plain": "\x1f\x8b"}},
		"long text":     {bytes.Repeat([]byte("0123456789\n"), 200), map[string]string{"plain": strings.Repeat("0123456789\n", 200)}},
		"global header": {tarOf(t, entry{typ: tar.TypeXGlobalHeader}, entry{name: "f", body: "x"}), map[string]string{"f": "x"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCage(t)
			if err := unpack.New(c.root, small()).Archive(t.Context(), file(t, test.data), "plain"); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, c.tree()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTruncatedArchive(t *testing.T) {
	whole := gz(t, tarOf(t, entry{name: "a", body: strings.Repeat("abcdefgh", 8000)}, entry{name: "b", body: "x"}))
	c := newCage(t)
	err := unpack.New(c.root, small()).Archive(t.Context(), file(t, whole[:len(whole)-20]), "plain")
	if err == nil {
		t.Error("a truncated archive was accepted")
	}
}

func TestStripped(t *testing.T) {
	c := newCage(t)
	data := gz(t, tarOf(t, entry{name: "chart/", typ: tar.TypeDir}, entry{name: "chart/Chart.yaml", body: "c"}, entry{name: "chart/templates/a", body: "a"},
		entry{name: "top", body: "dropped"}, entry{name: "chart/l", link: "Chart.yaml", typ: tar.TypeSymlink}))
	if err := unpack.New(c.root, small()).Stripped(1).Archive(t.Context(), file(t, data), ""); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Chart.yaml": "c", "templates": "folder", "templates/a": "a", "l": "-> Chart.yaml"}
	if d := cmp.Diff(want, c.tree()); d != "" {
		t.Error(d)
	}
	if err := unpack.New(c.root, small()).Stripped(1).Archive(t.Context(), file(t, []byte("text")), ""); err == nil {
		t.Error("text was accepted where only an archive is")
	}
}

func TestLayers(t *testing.T) {
	var zst bytes.Buffer
	zw, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := zw.Write(tarOf(t, entry{name: "zstd", body: "z"})); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	layers := [][]byte{
		gz(t, tarOf(t, entry{name: "keep", body: "1"}, entry{name: "gone", body: "1"}, entry{name: "dir/a", body: "1"}, entry{name: "dir/b", body: "1"},
			entry{name: "opaque/old/x", body: "1"}, entry{name: "file-then-dir", body: "1"}, entry{name: "dir-then-file/x", body: "1"}, entry{name: "lib", link: "usr", typ: tar.TypeSymlink}, entry{name: "usr/a", body: "1"})),
		tarOf(t, entry{name: ".wh.gone"}, entry{name: "dir/.wh.a"}, entry{name: "opaque/new", body: "2"}, entry{name: "opaque/.wh..wh..opq"}, entry{name: "nowhere/.wh.x"},
			entry{name: "file-then-dir/", typ: tar.TypeDir}, entry{name: "file-then-dir/x", body: "2"}, entry{name: "dir-then-file", body: "2"}, entry{name: "lib/b", body: "2"}),
		zst.Bytes(),
		gz(t, tarOf(t, entry{name: "gone", body: "back"})),
	}
	c := newCage(t)
	u := unpack.New(c.root, unpack.DefaultLimits())
	for _, l := range layers {
		if err := u.Layer(t.Context(), file(t, l)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"keep": "1", "gone": "back", "dir": "folder", "dir/b": "1", "opaque": "folder", "opaque/new": "2", "file-then-dir": "folder",
		"file-then-dir/x": "2", "dir-then-file": "2", "lib": "-> usr", "usr": "folder", "usr/a": "1", "usr/b": "2", "zstd": "z",
	}
	if d := cmp.Diff(want, c.tree()); d != "" {
		t.Error(d)
	}
}

func TestCancelledUnpack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, data := range [][]byte{tarOf(t, entry{name: "a", body: "x"}), zipOf(t, zipEntry{"a", "x", 0o644}), []byte("plain")} {
		c := newCage(t)
		if err := unpack.New(c.root, small()).Archive(ctx, file(t, data), "plain"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// FuzzUnpack lets nothing leave the folder, and nothing but files, folders and links get into it.
func FuzzUnpack(f *testing.F) {
	for _, layer := range []bool{false, true} {
		f.Add(tarOf(f, entry{name: "a/b", body: "x"}, entry{name: "a/l", link: "b", typ: tar.TypeSymlink}, entry{name: "h", link: "a/b", typ: tar.TypeLink}), layer)
		f.Add(gz(f, tarOf(f, entry{name: "../a", body: "x"}, entry{name: ".wh.a"})), layer)
		f.Add(zipOf(f, zipEntry{"a/../b", "x", 0o755}, zipEntry{"l", "../x", fs.ModeSymlink | 0o777}), layer)
	}
	f.Fuzz(func(t *testing.T, data []byte, layer bool) {
		c := newCage(t)
		u := unpack.New(c.root, small())
		if layer {
			_ = u.Layer(t.Context(), file(t, data))
		} else {
			_ = u.Archive(t.Context(), file(t, data), "plain")
		}
		c.checkOutside()
		err := fs.WalkDir(c.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !e.Type().IsRegular() && e.Type() != fs.ModeSymlink {
				t.Errorf("%s is a %v", name, e.Type())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
