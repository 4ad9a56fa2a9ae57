package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An object is a commit or a tag as git keeps it.
type object struct {
	name, kind string
	data       []byte
}

// describe tells about the commit that is wanted, after its signature was checked if there are keys.
// It sets c.sha.
func (m *mirror) describe(ctx context.Context, c *checkout, keys *keyring) (Info, error) {
	names := c.want.tagRefs()
	if keys != nil && c.want.refs == nil && len(names) == 0 {
		// Tags that were fetched with it may vouch for it, without asking again.
		out, err := m.git(ctx, "for-each-ref", "--count="+strconv.Itoa(mostTags), "--points-at="+c.want.SHA, "--format=%(refname)", "refs/tags")
		if err != nil {
			return Info{}, err
		}
		names = strings.Fields(out)
	}
	objects, err := m.objects(ctx, append([]string{c.want.SHA + "^{commit}"}, names...))
	if err != nil {
		return Info{}, err
	}
	commit := objects[0]
	if commit.kind != kindCommit {
		return Info{}, fmt.Errorf("%s: %w", c.want.SHA, ErrNoCommit)
	}
	c.sha = commit.name
	tags := map[string]tag{}
	var exact string
	for i, name := range names {
		short := strings.TrimPrefix(name, tagPrefix)
		t, ok := parseTag(objects[i+1], commit.name)
		if !ok {
			continue
		}
		tags[name] = t
		// As git describe: an annotated tag, of several the latest, and else the first by name.
		if best, ok := tags[tagPrefix+exact]; !ok || t.better(best) || t.same(best) && short < exact {
			exact = short
		}
	}
	if keys != nil {
		if err := keys.verify(c.want, commit, tags); err != nil {
			return Info{}, err
		}
	}
	info := Info{SHA: commit.name}
	if info.Title, info.Time, err = m.message(ctx, commit); err != nil {
		return Info{}, err
	}
	if c.history() {
		// It fails where no tag is in the history.
		out, err := m.git(ctx, "describe", "--tags", commit.name)
		if err != nil && ctx.Err() != nil {
			return Info{}, err
		}
		exact = strings.TrimSpace(out)
	}
	if exact != "" {
		info.Tags = []string{exact}
	}
	return info, nil
}

// objects reads commits and tags; one that isn't there has no kind.
func (m *mirror) objects(ctx context.Context, names []string) ([]object, error) {
	out, err := m.r.do(ctx, call{dir: m.path, env: m.env(), stdin: strings.Join(names, "\n") + "\n", args: []string{"cat-file", "--batch"}})
	if err != nil {
		return nil, err
	}
	return parseObjects([]byte(out), len(names))
}

// parseObjects reads n answers of git cat-file --batch.
func parseObjects(out []byte, n int) ([]object, error) {
	objects := make([]object, 0, n)
	for range n {
		line, rest, ok := bytes.Cut(out, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("git cat-file gave %d answers to %d questions", len(objects), n)
		}
		out = rest
		fields := strings.Fields(string(line))
		if len(fields) != 3 || !IsSHA(fields[0]) {
			objects = append(objects, object{}) // NAME missing
			continue
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil || size < 0 || size >= len(out) {
			return nil, fmt.Errorf("unexpected line %q from git cat-file", line)
		}
		objects = append(objects, object{name: fields[0], kind: fields[1], data: out[:size]})
		out = out[size+1:]
	}
	return objects, nil
}

// headers are the lines before a commit's or tag's message. A header may go on over lines that begin with a space.
func (o object) headers() (headers [][2]string, message []byte) {
	rest := o.data
	for len(rest) > 0 {
		line, next, _ := bytes.Cut(rest, []byte("\n"))
		rest = next
		if len(line) == 0 {
			return headers, rest
		}
		if text, ok := bytes.CutPrefix(line, []byte(" ")); ok && len(headers) > 0 {
			headers[len(headers)-1][1] += "\n" + string(text)
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(" "))
		headers = append(headers, [2]string{string(name), string(value)})
	}
	return headers, nil
}

// header gives the first header of a name.
func (o object) header(name string) string {
	headers, _ := o.headers()
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// madeAt reads the time at the end of a committer's or a tagger's line, “NAME <ADDRESS> SECONDS ZONE”.
func madeAt(line string) (time.Time, error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, '>')+1:])
	if len(fields) == 0 {
		return time.Time{}, fmt.Errorf("no time in %q", line)
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("unexpected time in %q", line)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// message gives a commit's title and time.
func (m *mirror) message(ctx context.Context, commit object) (title string, made time.Time, err error) {
	if made, err = madeAt(commit.header("committer")); err != nil {
		return "", made, fmt.Errorf("commit %s: %w", commit.name, err)
	}
	_, text := commit.headers()
	if commit.header("encoding") != "" {
		// git knows how to read it.
		out, err := m.git(ctx, "log", "-n", "1", "--no-color", "--encoding=UTF-8", "--pretty=%B", commit.name)
		if err != nil {
			return "", made, err
		}
		text = []byte(out)
	}
	title, _, more := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(text), "\ufffd")), "\n")
	if more {
		title += "..."
	}
	return title, made, nil
}

// A tag is one of a commit.
type tag struct {
	object
	annotated bool
	made      time.Time
}

// parseTag makes a tag of what a reference leads to, unless that isn't the commit.
func parseTag(o object, commit string) (tag, bool) {
	if o.kind == kindCommit {
		return tag{object: o}, o.name == commit
	}
	t := tag{object: o, annotated: true}
	if o.kind != "tag" || o.header("object") != commit {
		return t, false
	}
	t.made, _ = madeAt(o.header("tagger")) // old tags have none
	return t, true
}

func (t tag) better(than tag) bool {
	return t.annotated && !than.annotated || t.annotated && than.annotated && t.made.After(than.made)
}

func (t tag) same(as tag) bool { return t.annotated == as.annotated && t.made.Equal(as.made) }
