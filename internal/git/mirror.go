package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"strake.dev/strake/internal/cache"
)

// The kinds of mirrors; see the package's description.
const (
	shallow = "shallow"
	sparse  = "sparse"
	full    = "full"
)

// A mirror is a bare repository that holds a part of a remote one.
type mirror struct {
	r    *Repository
	kind string
	// path is the repository's.
	path string
	// held is the folder of the cache that it is in, if there is a cache.
	held *cache.Dir
}

func (m *mirror) close() error { return m.held.Close() }

// hold locks the folder with the repository's mirrors. The mirror that it returns has no kind yet.
func (r *Repository) hold(ctx context.Context, mode cache.Mode) (*mirror, error) {
	if r.Cache == nil {
		return &mirror{r: r, path: filepath.Join(r.temp, "mirrors")}, nil
	}
	d, err := r.Cache.Dir(ctx, "git", r.url, mode)
	if err != nil {
		return nil, err
	}
	return &mirror{r: r, path: d.Path, held: d}, nil
}

// of is the mirror of a kind in a folder.
func (m *mirror) of(kind string, c Commit) *mirror {
	name := kind
	if c.format() != "sha1" {
		name += "-" + c.format()
	}
	return &mirror{r: m.r, kind: kind, path: filepath.Join(m.path, name), held: m.held}
}

// format is the hash function of the commit's repository.
func (c Commit) format() string {
	sha := c.SHA
	for _, sha = range c.refs {
		break
	}
	if len(sha) == 64 {
		return "sha256"
	}
	return "sha1"
}

func (m *mirror) git(ctx context.Context, args ...string) (string, error) {
	return m.r.run(ctx, m.path, m.env(), args...)
}

func (m *mirror) env() []string { return []string{"GIT_DIR=" + m.path} }

func (m *mirror) exists() bool {
	_, err := os.Stat(m.path)
	return err == nil
}

// kinds are those of the mirrors that may serve a checkout, from the one with the least.
func (c *checkout) kinds() []string {
	switch {
	case c.history():
		return []string{full}
	case c.KeepGit:
		return []string{shallow}
	case c.SubPath != "":
		return []string{sparse, shallow, full}
	default:
		return []string{shallow, full}
	}
}

// mirrorWith returns a mirror with all that a checkout needs, which the caller must close. It fetches what
// none has.
func (r *Repository) mirrorWith(ctx context.Context, c *checkout) (*mirror, error) {
	if c.want.SHA == "" {
		if err := r.resolveByHistory(ctx, c); err != nil {
			return nil, err
		}
	}
	// Between the two locks another process may throw the mirrors away, but not forever.
	for range 5 {
		folder, err := r.hold(ctx, cache.Shared)
		if err != nil {
			return nil, err
		}
		if m := folder.serving(ctx, c); m != nil {
			if err := r.admit(ctx, folder); err != nil {
				return nil, errors.Join(err, folder.close())
			}
			return m, nil
		}
		if err := folder.close(); err != nil {
			return nil, err
		}
		if err := r.fill(ctx, c); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: the cache loses what was just fetched", Redacted(r.url))
}

// serving is the mirror in a folder that has all that a checkout needs, if one has.
func (m *mirror) serving(ctx context.Context, c *checkout) *mirror {
	for _, kind := range c.kinds() {
		if m := m.of(kind, c.want); m.exists() && m.serves(ctx, c) {
			return m
		}
	}
	return nil
}

// fill fetches what a checkout needs, unless another one has just done that.
func (r *Repository) fill(ctx context.Context, c *checkout) error {
	folder, err := r.hold(ctx, cache.Exclusive)
	if err != nil {
		return err
	}
	defer folder.close()
	if folder.serving(ctx, c) != nil {
		return nil
	}
	// On top of what is there, the least is to be fetched; of two mirrors, the one with more serves more.
	kinds := c.kinds()
	m := folder.of(kinds[0], c.want)
	for _, kind := range kinds[1:] {
		if other := folder.of(kind, c.want); other.exists() {
			m = other
		}
	}
	return m.filling(ctx, c.want, func() error { return m.fetch(ctx, c) })
}

// filling has fetch fill a mirror, which is made before, and made anew if it turns out to be damaged.
func (m *mirror) filling(ctx context.Context, c Commit, fetch func() error) error {
	old := m.exists() && m.intact()
	if !old {
		if err := m.create(ctx, c.format()); err != nil {
			return err
		}
	} else if err := errors.Join(m.sweep(), m.configure()); err != nil {
		return err
	}
	err := fetch()
	if err == nil {
		return m.pack(ctx)
	}
	if !old || ctx.Err() != nil || !errors.Is(err, ErrNoCommit) && !isDamage(err) || m.sound(ctx) {
		return err
	}
	if err := m.create(ctx, c.format()); err != nil {
		return err
	}
	return fetch()
}

// create makes an empty mirror in the place of a damaged one or of none. It is there when it is complete.
func (m *mirror) create(ctx context.Context, format string) error {
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(m.path), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := os.RemoveAll(m.path); err != nil {
		return err
	}
	made := &mirror{r: m.r, path: temp}
	if _, err := made.git(ctx, "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(temp, "config"), config(m.r.url, true, format)); err != nil {
		return err
	}
	return os.Rename(temp, m.path)
}

// serves tells whether a mirror has all that a checkout needs. A mirror that can't tell doesn't.
func (m *mirror) serves(ctx context.Context, c *checkout) bool {
	if c.KeepGit && c.Depth > 0 {
		if _, err := os.Stat(m.boundary(c)); err != nil {
			return false
		}
	}
	if c.KeepGit && !m.intact() { // all packs become the checkout's own
		return false
	}
	names := append([]string{c.want.SHA}, c.want.tagRefs()...)
	found, err := m.commits(ctx, names)
	if err != nil || found[0] == "" {
		return false
	}
	if m.kind == sparse {
		if missing, err := m.missing(ctx, c); err != nil || len(missing) > 0 {
			return false
		}
	}
	if c.fetched {
		return true
	}
	for _, sha := range found[1:] {
		if sha != found[0] {
			return false
		}
	}
	return !c.history() || m.hasTags(ctx, c.want.refs)
}

// commits names the commits that names stand for, with “” for those that aren't there.
func (m *mirror) commits(ctx context.Context, names []string) ([]string, error) {
	var questions strings.Builder
	for _, name := range names {
		questions.WriteString(name + "^{commit}\n")
	}
	out, err := m.r.do(ctx, call{dir: m.path, env: m.env(), stdin: questions.String(), args: []string{"cat-file", "--batch-check=%(objectname)"}})
	if err != nil {
		return nil, err
	}
	found := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(found) != len(names) {
		return nil, fmt.Errorf("git cat-file gave %d answers to %d questions", len(found), len(names))
	}
	for i, sha := range found {
		if !IsSHA(sha) {
			found[i] = "" // NAME missing
		}
	}
	return found, nil
}

// boundary is the file with the commits at which a history of a given depth ends. Each fetch may move
// these for other commits, so they are noted for each.
func (m *mirror) boundary(c *checkout) string {
	return filepath.Join(m.path, "strake-depth", c.want.SHA+"."+strconv.Itoa(c.Depth))
}

// noteBoundary notes where the history ends that was just fetched.
func (m *mirror) noteBoundary(c *checkout) error {
	text, err := os.ReadFile(filepath.Join(m.path, "shallow"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a short history is there in full
		return err
	}
	return writeFile(m.boundary(c), text)
}

// writeFile writes a file that is there completely or not at all.
func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
