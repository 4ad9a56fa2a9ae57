// Package unpack writes archives and image layers into a folder that they can't leave.
//
// Archives come from strangers. Whatever an entry says, nothing is written outside of the folder (an
// [os.Root] sees to that), and an entry that tries to, or that is neither a file, a folder nor a
// link, is an error that names it: content that was not meant to be there shouldn't be dropped
// quietly. Of an entry's mode only the executable bit is kept; times and owners are not.
package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode/utf8"
)

// Limits bound what one source may unpack to.
type Limits struct {
	// Entries is the number of files, folders and links.
	Entries int
	// Bytes is the size of all files together.
	Bytes int64
	// Ratio is how many times its packed size the content may have, once it is above RatioFrom.
	Ratio int64
	// RatioFrom is the size in bytes below which any ratio is accepted.
	RatioFrom int64
	// Name is the length of a path in bytes.
	Name int
}

// DefaultLimits are far above what sources have, and below what hurts a machine.
func DefaultLimits() Limits {
	return Limits{
		Entries:   500_000,
		Bytes:     16 << 30,
		Ratio:     200, // deflate reaches 1032; text and binaries stay below 20
		RatioFrom: 256 << 20,
		Name:      4096, // PATH_MAX
	}
}

// maxElement is the length in bytes that file systems allow for one element of a path.
const maxElement = 255

// An EntryError says which entry of an archive is refused, and why.
type EntryError struct {
	Entry  string
	Reason string
}

func (e *EntryError) Error() string { return fmt.Sprintf("entry %q %s", e.Entry, e.Reason) }

// An Unpacker unpacks archives and layers, one after the other, into one folder. Its limits count
// for all of them together. It is not safe for concurrent use.
type Unpacker struct {
	out    *os.Root
	limits Limits
	// strip is how many leading elements of each path are dropped.
	strip   int
	entries int
	bytes   int64
	packed  int64
}

// New returns an Unpacker that writes into out.
func New(out *os.Root, limits Limits) *Unpacker {
	return &Unpacker{out: out, limits: limits}
}

// Stripped makes the Unpacker drop the first n elements of each path; entries that have no more
// than n are left out. It returns the Unpacker.
func (u *Unpacker) Stripped(n int) *Unpacker {
	u.strip = n
	return u
}

// clean checks an entry's path and returns it relative to the folder; it is "" for an entry that is
// the folder itself or is stripped away.
func (u *Unpacker) clean(name string) (string, error) {
	refuse := func(reason string) (string, error) { return "", &EntryError{Entry: clip(name), Reason: reason} }
	if u.entries++; u.entries > u.limits.Entries {
		return refuse(fmt.Sprintf("is one too many: expected at most %d entries", u.limits.Entries))
	}
	switch {
	case name == "":
		return refuse("has no name")
	case len(name) > u.limits.Name:
		return refuse(fmt.Sprintf("has a path of %d bytes, expected at most %d", len(name), u.limits.Name))
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return refuse("has a path that is not UTF-8 text") // which fs.FS can't read
	case leadsOut(name), leadsOut(strings.ReplaceAll(name, `\`, "/")):
		return refuse("leads out of the folder")
	}
	elements := strings.Split(path.Clean(name), "/")
	for _, e := range elements {
		if len(e) > maxElement {
			return refuse(fmt.Sprintf("has an element of %d bytes in its path, expected at most %d", len(e), maxElement))
		}
	}
	if len(elements) <= u.strip {
		return "", nil
	}
	rest := path.Join(elements[u.strip:]...)
	if rest == "." {
		return "", nil
	}
	return rest, nil
}

// leadsOut tells whether a path is absolute, has a drive, or has any “..”: also one that a text would
// cancel out again can lead out through a link.
func leadsOut(name string) bool {
	if strings.HasPrefix(name, "/") || (len(name) > 2 && name[1] == ':' && name[2] == '/') {
		return true
	}
	for e := range strings.SplitSeq(name, "/") {
		if e == ".." {
			return true
		}
	}
	return false
}

// clip shortens a hostile name for messages.
func clip(name string) string {
	const most = 200
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}

// reserve makes room for an entry: its parent folders are made, and what was there is removed. A
// later entry replaces an earlier one of the same path, as tar has it.
func (u *Unpacker) reserve(name string) error {
	if dir := path.Dir(name); dir != "." {
		if err := u.out.MkdirAll(dir, 0o755); err != nil {
			return u.explain(name, err)
		}
	}
	if _, err := u.out.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return u.explain(name, u.out.RemoveAll(name))
}

func (u *Unpacker) folder(name string) error {
	if info, err := u.out.Lstat(name); err == nil {
		if info.IsDir() {
			return nil
		}
		if err := u.out.RemoveAll(name); err != nil {
			return u.explain(name, err)
		}
	}
	return u.explain(name, u.out.MkdirAll(name, 0o755))
}

func (u *Unpacker) file(ctx context.Context, name string, mode fs.FileMode, content io.Reader) error {
	if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return &EntryError{Entry: name, Reason: "has the setuid or setgid bit"}
	}
	if err := u.reserve(name); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if mode&0o100 != 0 {
		perm = 0o755
	}
	f, err := u.out.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return u.explain(name, err)
	}
	_, err = io.Copy(f, &meter{ctx: ctx, u: u, name: name, r: content})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	var ee *EntryError
	if err == nil || errors.As(err, &ee) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("entry %q: %w", name, err)
}

func (u *Unpacker) symlink(name, target string) error {
	switch {
	case target == "" || len(target) > u.limits.Name || strings.ContainsRune(target, 0):
		return &EntryError{Entry: name, Reason: "is a symbolic link without a usable target"}
	case path.IsAbs(target), !local(path.Join(path.Dir(name), target)):
		return &EntryError{Entry: name, Reason: fmt.Sprintf("is a symbolic link to %s, which leads out of the folder", clip(target))}
	}
	if err := u.reserve(name); err != nil {
		return err
	}
	return u.explain(name, u.out.Symlink(target, name))
}

func (u *Unpacker) hardlink(name, target string) error {
	if info, err := u.out.Lstat(target); err != nil || !info.Mode().IsRegular() {
		return &EntryError{Entry: name, Reason: fmt.Sprintf("is a hard link to %s, which is no file of the archive", clip(target))}
	}
	if name == target {
		return nil
	}
	if err := u.reserve(name); err != nil {
		return err
	}
	return u.explain(name, u.out.Link(target, name))
}

// local tells whether a cleaned path stays inside.
func local(p string) bool { return p != ".." && !strings.HasPrefix(p, "../") }

// explain turns the error of an [os.Root] into one about the entry.
func (u *Unpacker) explain(name string, err error) error {
	var pe *fs.PathError
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "escapes"):
		return &EntryError{Entry: name, Reason: "leads out of the folder through a symbolic link"}
	case errors.As(err, &pe):
		return &EntryError{Entry: name, Reason: "can't be written: " + pe.Err.Error()}
	default:
		return fmt.Errorf("entry %q: %w", name, err)
	}
}

// A meter counts what is read against the limits, and ends with the context.
type meter struct {
	ctx  context.Context
	u    *Unpacker
	name string
	r    io.Reader
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.u.bytes += int64(n)
	switch l := m.u.limits; {
	case m.u.bytes > l.Bytes:
		return n, &EntryError{Entry: m.name, Reason: fmt.Sprintf("takes the content above %d bytes", l.Bytes)}
	case m.u.bytes > l.RatioFrom && m.u.bytes > l.Ratio*m.u.packed:
		return n, &EntryError{Entry: m.name, Reason: fmt.Sprintf("takes the content above %d times its packed size", l.Ratio)}
	}
	return n, err
}
