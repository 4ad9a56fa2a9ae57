package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A sentinel is a secret that only one place of a test's world has, so that what holds it tells where it came from.
type sentinel struct {
	where, value string
	// needles are what it looks like in texts.
	needles []string
}

// window is the length in bytes of the shortest piece of a sentinel that counts as leaked.
const window = 10

// newSentinel makes a secret. No program can have made a text with a piece of it by chance.
func newSentinel(where string) *sentinel {
	random := make([]byte, 12)
	_, _ = rand.Read(random) // it never fails
	s := &sentinel{where: where, value: "Zq" + hex.EncodeToString(random) + "Xw"}
	forms := []string{s.value, hex.EncodeToString([]byte(s.value)), strings.ToUpper(hex.EncodeToString([]byte(s.value)))}
	for before := range 3 {
		// The characters that hold bits of the sentinel alone, whatever is before and after it.
		all := base64.RawStdEncoding.EncodeToString([]byte("xx"[:before] + s.value))
		forms = append(forms, all[(8*before+5)/6:8*(before+len(s.value))/6])
	}
	for _, form := range forms {
		for i := range len(form) - window + 1 {
			s.needles = append(s.needles, form[i:i+window])
		}
	}
	return s
}

// in tells what piece of the sentinel a text has, also one that the end of a line cuts in two.
func (s *sentinel) in(text string) (piece string, found bool) {
	for _, t := range []string{text, unbroken(text)} {
		for _, n := range s.needles {
			if at := strings.Index(t, n); at >= 0 {
				return t[max(0, at-60):min(len(t), at+60)], true
			}
		}
	}
	return "", false
}

var lineStart = regexp.MustCompile(`\n(?:[^\n]*? \| ?|\s*)`)

// unbroken joins lines, without what names where each is from.
func unbroken(text string) string { return lineStart.ReplaceAllString(text, "") }

// An exhibit is something that was written, and what may be in it.
type exhibit struct {
	name, text string
	may        []*sentinel
}

// search reports every sentinel in an exhibit that has no business there.
func search(t *testing.T, all []*sentinel, exhibits []exhibit) {
	t.Helper()
	for _, e := range exhibits {
		for _, s := range all {
			if slices.Contains(e.may, s) {
				continue
			}
			if piece, found := s.in(e.text); found {
				t.Errorf("%s: the secret from %s is in it:\n…%s…", e.name, s.where, piece)
			}
		}
	}
}

// A room is a world whose every output is kept to be searched.
type room struct {
	*world
	exhibits []exhibit
	calls    int
}

// reports asks for all reports of a run.
func (r *room) reports() []string {
	var flags []string
	for _, format := range []string{"html", "markdown", "junit", "json", "text", "github", "gitlab", "gitlab-dotenv", "gitlab-plan"} {
		flags = append(flags, "--report", format+"="+filepath.Join("out", fmt.Sprintf("%02d-%s", r.calls, format)))
	}
	return flags
}

// does calls strake, expects an exit code, and keeps what it says. Standard output may hold some secrets.
func (r *room) does(code int, may []*sentinel, env []string, args ...string) outcome {
	r.t.Helper()
	r.calls++
	before := r.env
	r.env = append(slices.Clone(r.env), env...)
	o := r.strake(args...)
	r.env = before
	if o.code != code {
		r.t.Errorf("strake %s: expected exit code %d: %s", strings.Join(args, " "), code, o)
	}
	if code != 0 {
		r.t.Logf("it said: %s", o.stderr)
	}
	name := fmt.Sprintf("call %d, strake %s", r.calls, strings.Join(args, " "))
	r.exhibits = append(r.exhibits, exhibit{name + ", standard output", o.stdout, may}, exhibit{name + ", standard error", o.stderr, nil})
	return o
}

// files adds all files below a folder. may says what one may hold, by its path from there.
func (r *room) files(dir string, may func(path string, info fs.FileInfo) []*sentinel) {
	r.t.Helper()
	root := filepath.Join(r.dir, dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(r.dir, path)
		r.exhibits = append(r.exhibits, exhibit{name, string(data), may(filepath.ToSlash(name), info)})
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// The search has to find what it looks for.
func TestSentinelsAreFound(t *testing.T) {
	s := newSentinel("here")
	v := s.value
	for name, text := range map[string]string{
		"plain": v, "half": v[:15], "in two lines": v[:9] + "\napp [1/2] | " + v[9:], "indented": "  " + v[:5] + "\n  " + v[5:],
		"hex":           hex.EncodeToString([]byte(v)),
		"base64":        base64.StdEncoding.EncodeToString([]byte(v)),
		"user":          base64.StdEncoding.EncodeToString([]byte("user:" + v)),
		"shifted":       base64.StdEncoding.EncodeToString([]byte("abcd" + v + "e")),
		"shifted twice": base64.URLEncoding.EncodeToString([]byte("ab" + v)),
	} {
		if _, found := s.in("before " + text + " after"); !found {
			t.Errorf("not found: %s", name)
		}
	}
	if piece, found := s.in(strings.Repeat("nothing of it\n", 100) + newSentinel("elsewhere").value); found {
		t.Errorf("found in %s", piece)
	}
	if !bytes.Contains([]byte(unbroken("a\nx [1/2] | b\n  c")), []byte("abc")) {
		t.Error("lines aren't joined")
	}
}
