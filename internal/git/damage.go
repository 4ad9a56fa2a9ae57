package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"strake.dev/strake/internal/cache"
)

// damage are git's words for what may come from a mirror that isn't whole.
var damage = regexp.MustCompile(`(?i)bad object|bad tree|missing|corrupt|unable to read|could not read|inflate|not a valid|invalid|packfile|` +
	`index-pack|pack has|bad config|not a git repository|broken|loose object|unresolved delta|garbage|all necessary objects|shallow|` +
	`\.lock|cannot lock|cannot create|unknown revision|not a tree|failed to traverse|delta base|cat-file|short read|too large|bad signature`)

// isDamage tells whether an error may come from a mirror that isn't whole.
func isDamage(err error) bool { return damage.MatchString(err.Error()) }

// mend throws away the mirrors that may have served a checkout and are damaged. It tells whether there were any.
func (r *Repository) mend(ctx context.Context, c *checkout) (bool, error) {
	folder, err := r.hold(ctx, cache.Exclusive)
	if err != nil {
		return false, err
	}
	defer folder.close()
	mended := false
	for _, kind := range c.kinds() {
		m := folder.of(kind, c.want)
		if !m.exists() || m.sound(ctx, c.want.SHA) || ctx.Err() != nil {
			continue
		}
		if err := os.RemoveAll(m.path); err != nil {
			return mended, err
		}
		mended = true
	}
	return mended, ctx.Err()
}

// sound tells whether all packs of a mirror are whole, and whether it has all objects that its references and
// the given commits need.
func (m *mirror) sound(ctx context.Context, commits ...string) bool {
	packs, err := filepath.Glob(filepath.Join(m.path, "objects", "pack", "*.pack"))
	if err != nil {
		return false
	}
	for _, pack := range packs {
		if _, err := m.git(ctx, "verify-pack", pack); err != nil {
			return false
		}
	}
	args := []string{"rev-list", "--objects", "--all", "--quiet"}
	if m.kind == sparse {
		args = append(args, "--filter=blob:none")
	}
	for _, sha := range commits {
		found, err := m.commits(ctx, []string{sha})
		if err != nil {
			return false
		}
		if found[0] != "" {
			args = append(args, found[0])
		}
	}
	_, err = m.git(ctx, args...)
	return err == nil
}

// intact tells whether every pack has an index, and ends as that says. It reads only the ends, and so finds what
// was cut off.
func (m *mirror) intact() bool {
	indexes, err := filepath.Glob(filepath.Join(m.path, "objects", "pack", "*.idx"))
	packs, err2 := filepath.Glob(filepath.Join(m.path, "objects", "pack", "pack-*.pack"))
	size := int64(20)
	if strings.HasSuffix(m.path, "-sha256") {
		size = 32
	}
	return err == nil && err2 == nil && len(indexes) == len(packs) && !slices.ContainsFunc(indexes, func(index string) bool {
		pack, err := checksum(strings.TrimSuffix(index, ".idx")+".pack", size, size)
		noted, err2 := checksum(index, 2*size, size) // before its own
		return err != nil || err2 != nil || !bytes.Equal(pack, noted)
	})
}

// checksum reads size bytes that begin at a distance from a file's end.
func checksum(file string, distance, size int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(-distance, io.SeekEnd); err != nil {
		return nil, err
	}
	sum := make([]byte, size)
	_, err = io.ReadFull(f, sum)
	return sum, err
}

// sweep removes what a git that was killed has left in a mirror, which must be held exclusively.
func (m *mirror) sweep() error {
	made, err := filepath.Glob(filepath.Join(filepath.Dir(m.path), "new-*"))
	if err != nil {
		return err
	}
	for _, dir := range made {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return filepath.WalkDir(m.path, func(path string, e fs.DirEntry, err error) error {
		name := filepath.Base(path)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (len(name) == 2 && filepath.Base(filepath.Dir(path)) == "objects" || path == filepath.Join(m.path, "lfs")):
			return fs.SkipDir
		case !e.IsDir() && (strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, ".tmp-") || strings.HasPrefix(name, "new-")):
			return os.Remove(path)
		}
		return nil
	})
}

// mostPacks is how many packs a mirror may have before they are packed into few. Each fetch makes one, and each
// object is looked for in all.
var mostPacks = 40 // a variable for tests

// pack packs all packs but the largest into one if there are many, so that the work is bounded by what was
// fetched on top of the first. Nothing is dropped, and the old packs go when the new one is complete.
func (m *mirror) pack(ctx context.Context) error {
	dir := filepath.Join(m.path, "objects", "pack")
	packs, err := filepath.Glob(filepath.Join(dir, "*.pack"))
	if err != nil || len(packs) <= mostPacks {
		return err
	}
	sizes := map[string]int64{}
	for _, p := range packs {
		if info, err := os.Stat(p); err == nil {
			sizes[p] = info.Size()
		}
	}
	slices.SortFunc(packs, func(a, b string) int { return int(min(1, max(-1, sizes[b]-sizes[a]))) })
	small := packs[1:]
	var names strings.Builder
	promised := false
	for _, p := range small {
		names.WriteString(filepath.Base(p) + "\n")
		_, err := os.Stat(strings.TrimSuffix(p, ".pack") + ".promisor")
		promised = promised || err == nil
	}
	out, err := m.r.do(ctx, call{
		dir: m.path, env: m.env(), stdin: names.String(),
		args: []string{"pack-objects", "--quiet", "--stdin-packs", "--delta-base-offset", filepath.Join(dir, "pack")},
	})
	if err != nil {
		return err
	}
	made := filepath.Join(dir, "pack-"+strings.TrimSpace(out))
	if promised {
		if err := writeFile(made+".promisor", nil); err != nil {
			return err
		}
	}
	for _, p := range small {
		base := strings.TrimSuffix(p, ".pack")
		if base == made {
			continue
		}
		// Without its index a pack doesn't count any more.
		for _, ext := range []string{".idx", ".rev", ".promisor", ".pack"} {
			if err := os.Remove(base + ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
