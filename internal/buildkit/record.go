package buildkit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/atomicwriter"
)

// A Record is what a build's input is, or was, in detail, so that [Explain] can say what changed. It
// holds names and digests, but no value of an argument, label or secret.
type Record struct {
	Parts Parts
	// details are what is known of each part, in lists of their own for what is compared for itself. A
	// list that isn't there is not known.
	details map[string][]detail
	// context and dockerfile are the paths of both; those of records that were read are empty.
	context, dockerfile string
}

// A detail is one named thing of a part, and its value or the digest of that.
type detail struct{ name, value string }

// The lists besides those of the parts themselves.
const (
	listIgnore = "ignore"
	// listContext precedes the name of a named context that is a folder.
	listContext = "contexts:"
)

// Record returns the build's input in detail. parts are all of the build, pins what it takes from
// elsewhere.
func (b *Build) Record(parts Parts, pins Pins) *Record {
	r := &Record{Parts: parts, context: b.source.Context, dockerfile: b.source.Dockerfile}
	r.details = map[string][]detail{
		PartContext:    b.context.details(),
		PartDockerfile: lines(b.dockerfile),
		PartArgs:       b.arguments().details(),
		PartTarget:     {{"", b.source.Target}},
		PartPlatforms:  {{"", strings.Join(b.source.Platforms, ", ")}},
		PartContexts:   nil,
		PartOptions:    b.source.settings().details(),
		listIgnore:     nil,
	}
	r.setPins(pins)
	if b.ignore != nil {
		name := path.Join(b.source.Context, ".dockerignore")
		if b.ownIgnore {
			name = b.source.Dockerfile + ".dockerignore"
		}
		r.details[listIgnore] = []detail{{name, textSum(string(b.ignore))}}
	}
	for _, name := range slices.Sorted(maps.Keys(b.contexts)) {
		c := b.contexts[name]
		value := "folder"
		switch {
		case c.tree != nil:
			r.details[listContext+name] = c.tree.details()
		case c.layout != nil:
			value = c.layout.digest.String()
		default:
			value = textSum(withoutUser(c.url))
		}
		r.details[PartContexts] = append(r.details[PartContexts], detail{name, value})
	}
	return r
}

func (r *Record) setPins(pins Pins) {
	list := []detail{}
	for _, p := range pins {
		list = append(list, detail{p.Kind + " " + p.Ref, p.Digest})
	}
	r.details[PartBases] = list
}

// The kinds of entry of a folder, as the first letter of a detail's value.
const (
	kindFolder = "d"
	kindLink   = "l "
	kindFile   = "f "
)

func (t *tree) details() []detail {
	list := make([]detail, 0, len(t.entries))
	for i := range t.entries {
		e := &t.entries[i]
		d := detail{e.Name, kindFolder}
		switch {
		case e.Mode.IsDir():
		case e.Mode&fs.ModeSymlink != 0:
			d.value = kindLink + e.Link
		default:
			d.value = kindFile + strconv.FormatUint(uint64(keptMode(e)), 8) + " " + hex.EncodeToString(e.Sum[:])
		}
		list = append(list, d)
	}
	return list
}

// lines has the beginning of each line's digest, which is enough to tell it from the one that was there.
func lines(text []byte) []detail {
	list := []detail{}
	for line := range bytes.Lines(text) {
		list = append(list, detail{"", textSum(string(line))[:16]})
	}
	return list
}

// recordHeader is the first line of a record's file. Parts follow, one a line, then an empty line, then
// lists: a line with the name, and one for each detail that begins with a space. Names and values are
// quoted as in Go.
const recordHeader = "strake build record 1\n"

// recordFile is where the record of a build is kept. cache is the folder for such things; key names the
// build's source.
func recordFile(cache, key string) string {
	return filepath.Join(cache, "builds", textSum(key)[:32])
}

// Keep keeps a record of the build in a cache folder, unless one of equal parts is there; an empty
// cache keeps nothing. key names the source: a later build of it overwrites the record.
func (b *Build) Keep(cache, key string, parts Parts, pins Pins) error {
	if cache == "" {
		return nil
	}
	name := recordFile(cache, key)
	if f, err := os.Open(name); err == nil {
		kept, err := readParts(bufio.NewReader(f))
		f.Close()
		if err == nil && maps.Equal(kept, parts) {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return atomicwriter.WriteFile(name, b.Record(parts, pins).encode(), 0o600)
}

// Recall returns what is known of an earlier build: parts and pins are those of the lock. What the
// record in the cache has on parts that are still the same is used, if there is one. Without parts, it is
// the record in the cache, or nil if there is none.
func Recall(cache, key string, parts Parts, pins Pins) *Record {
	if parts == nil {
		return readRecord(cache, key)
	}
	r := &Record{Parts: parts, details: map[string][]detail{}}
	for _, part := range []string{PartContexts, PartOptions} {
		if parts[part] == "" {
			r.details[part] = nil
		}
	}
	if pins.Digest() == parts[PartBases] {
		r.setPins(pins)
	}
	kept := readRecord(cache, key)
	if kept == nil {
		return r
	}
	for list, details := range kept.details {
		part := list
		switch {
		case list == listIgnore:
			part = PartContext
		case strings.HasPrefix(list, listContext):
			part = PartContexts
		}
		if parts[part] != "" && parts[part] == kept.Parts[part] {
			r.details[list] = details
		}
	}
	return r
}

// readRecord returns the record in the cache; nil if there is none that can be read.
func readRecord(cache, key string) *Record {
	if cache == "" {
		return nil
	}
	data, err := os.ReadFile(recordFile(cache, key))
	if err != nil {
		return nil
	}
	kept, err := decodeRecord(data)
	if err != nil {
		return nil
	}
	return kept
}

func (r *Record) encode() []byte {
	b := []byte(recordHeader)
	for _, part := range slices.Sorted(maps.Keys(r.Parts)) {
		b = append(strconv.AppendQuote(b, part), ' ')
		b = append(strconv.AppendQuote(b, r.Parts[part]), '\n')
	}
	b = append(b, '\n')
	for _, list := range slices.Sorted(maps.Keys(r.details)) {
		if list == PartBases {
			continue // the lock has them
		}
		b = append(strconv.AppendQuote(b, list), '\n')
		for _, d := range r.details[list] {
			b = strconv.AppendQuote(append(b, ' '), d.name)
			b = strconv.AppendQuote(append(b, ' '), d.value)
			b = append(b, '\n')
		}
	}
	return b
}

var errRecord = errors.New("not a record of a build, or a damaged one")

func decodeRecord(data []byte) (*Record, error) {
	in := bufio.NewReader(bytes.NewReader(data))
	parts, err := readParts(in)
	if err != nil {
		return nil, err
	}
	r := &Record{Parts: parts, details: map[string][]detail{}}
	list := ""
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return r, nil
		}
		if err != nil {
			return nil, errRecord
		}
		if text, ok := strings.CutPrefix(line, " "); ok {
			name, value, ok := twoQuoted(text)
			if !ok || list == "" {
				return nil, errRecord
			}
			r.details[list] = append(r.details[list], detail{name, value})
			continue
		}
		if list, err = strconv.Unquote(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, errRecord
		}
		r.details[list] = nil
	}
}

// readParts reads up to the empty line after the parts.
func readParts(in *bufio.Reader) (Parts, error) {
	if header, err := in.ReadString('\n'); err != nil || header != recordHeader {
		return nil, errRecord
	}
	parts := Parts{}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, errRecord
		}
		if line == "\n" {
			return parts, nil
		}
		name, value, ok := twoQuoted(line)
		if !ok {
			return nil, errRecord
		}
		parts[name] = value
	}
}

// twoQuoted reads a line of two quoted texts.
func twoQuoted(line string) (name, value string, ok bool) {
	first, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", "", false
	}
	rest, ok := strings.CutPrefix(line[len(first):], " ")
	if !ok {
		return "", "", false
	}
	name, err1 := strconv.Unquote(first)
	value, err2 := strconv.Unquote(strings.TrimSuffix(rest, "\n"))
	return name, value, err1 == nil && err2 == nil
}
