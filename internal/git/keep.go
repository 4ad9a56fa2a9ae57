package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keep makes a repository of its own, with the objects of the mirror, and checks the commit out in it.
func (m *mirror) keep(ctx context.Context, c *checkout) error {
	format := c.want.format()
	if err := m.initialize(ctx, c, format); err != nil {
		return err
	}
	if err := linkPacks(filepath.Join(m.path, "objects", "pack"), filepath.Join(c.gitDir, "objects", "pack")); err != nil {
		return err
	}
	if c.Depth > 0 {
		boundary, err := os.ReadFile(m.boundary(c))
		if err != nil {
			return err
		}
		if len(boundary) > 0 {
			if err := os.WriteFile(filepath.Join(c.gitDir, "shallow"), boundary, 0o644); err != nil {
				return err
			}
		}
	}
	refs, err := m.keptRefs(ctx, c)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"packed-refs": refs, "HEAD": c.sha + "\n"} {
		if err := os.WriteFile(filepath.Join(c.gitDir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	env, err := m.filtering(ctx, c)
	if err != nil {
		return err
	}
	env = append(env, "GIT_DIR="+c.gitDir, "GIT_WORK_TREE="+c.dir)
	_, err = m.r.run(ctx, c.dir, env, "read-tree", "-m", "-u", c.sha)
	return err
}

// initialize makes the repository, with a file that leads to it where it isn't in the checkout.
func (m *mirror) initialize(ctx context.Context, c *checkout, format string) error {
	if err := os.MkdirAll(c.gitDir, 0o755); err != nil {
		return err
	}
	if _, err := m.r.run(ctx, c.dir, []string{"GIT_DIR=" + c.gitDir}, "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return err
	}
	text := config(m.r.url, false, format)
	if dotGit := filepath.Join(c.dir, ".git"); dotGit != c.gitDir {
		// Both paths are relative, so that the whole can be moved.
		there, err := filepath.Rel(c.dir, c.gitDir)
		if err != nil {
			return err
		}
		back, err := filepath.Rel(c.gitDir, c.dir)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dotGit, []byte("gitdir: "+filepath.ToSlash(there)+"\n"), 0o644); err != nil {
			return err
		}
		text = append(text, "[core]\n\tworktree = "+quoted(filepath.ToSlash(back))+"\n"...)
	}
	return os.WriteFile(filepath.Join(c.gitDir, "config"), text, 0o644)
}

// linkPacks puts the packs of one repository into another. They never change, so the files are shared where
// the file system allows that.
func linkPacks(from, to string) error {
	packs, err := filepath.Glob(filepath.Join(from, "pack-*"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	// An index makes its pack count, and so comes last.
	slices.SortFunc(packs, func(a, b string) int {
		return strings.Compare(filepath.Ext(b), filepath.Ext(a))
	})
	for _, pack := range packs {
		target := filepath.Join(to, filepath.Base(pack))
		if err := os.Link(pack, target); err != nil {
			if err := copyFile(pack, target); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if errors.Is(err, fs.ErrExist) {
		return nil // linked, although the file system said otherwise
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// keptRefs is the packed-refs file of a kept repository: tags, and the branch that was asked for.
func (m *mirror) keptRefs(ctx context.Context, c *checkout) (string, error) {
	asked := []string{tagPrefix}
	if c.Depth > 0 {
		if asked = c.want.tagRefs(); len(asked) == 0 {
			asked = []string{"refs/none"}
		}
	}
	args := []string{"for-each-ref", "--format=%(objectname) %(refname) %(*objectname)"}
	out, err := m.git(ctx, append(args, asked...)...)
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if branch, ok := strings.CutPrefix(c.want.Ref, "refs/heads/"); ok {
		lines = append(lines, c.sha+" refs/remotes/origin/"+branch)
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(refName(a), refName(b)) })
	var b strings.Builder
	b.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		fmt.Fprintf(&b, "%s %s\n", fields[0], fields[1])
		if len(fields) == 3 {
			fmt.Fprintf(&b, "^%s\n", fields[2])
		}
	}
	return b.String(), nil
}

func refName(line string) string {
	_, name, _ := strings.Cut(line, " ")
	return name
}
