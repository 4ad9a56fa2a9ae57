package git

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

// An entry is one of a commit's tree.
type entry struct {
	mode, kind, sha, path string
}

const (
	kindBlob   = "blob"
	kindTree   = "tree"
	kindCommit = "commit" // a submodule
)

// entries lists what of a tree has or, if deep, is below one of the paths, and everything without paths.
func (m *mirror) entries(ctx context.Context, tree string, deep bool, paths ...string) ([]entry, error) {
	args := []string{"--literal-pathspecs", "ls-tree", "-z", "--full-tree"}
	if deep {
		args = append(args, "-r")
	}
	out, err := m.git(ctx, append(append(args, tree, "--"), paths...)...)
	if err != nil {
		return nil, err
	}
	return parseTree(out)
}

// parseTree reads the output of git ls-tree -z.
func parseTree(out string) ([]entry, error) {
	var entries []entry
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if line == "" {
			continue
		}
		attributes, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(attributes)
		if !ok || name == "" || len(fields) != 3 || !IsSHA(fields[2]) {
			return nil, fmt.Errorf("unexpected line %q from git ls-tree", line)
		}
		entries = append(entries, entry{mode: fields[0], kind: fields[1], sha: fields[2], path: name})
	}
	return entries, nil
}

// A selection is what of a commit a checkout of a sub-folder takes.
type selection struct {
	// around are files of the folders above that say how to write those below: attributes, and where
	// git-lfs gets its files from. They are not checked out.
	around []entry
	// module is the submodule that the sub-folder is in, if it is in one.
	module *entry
	// blobs names the files below the sub-folder.
	blobs []string
}

// selected finds out what of its commit a checkout of a sub-folder takes.
func (m *mirror) selected(ctx context.Context, c *checkout) (selection, error) {
	var s selection
	asked := []string{".gitattributes", ".lfsconfig", ".gitmodules"}
	for dir := c.SubPath; dir != "."; dir = path.Dir(dir) {
		asked = append(asked, dir)
		if dir != c.SubPath {
			asked = append(asked, dir+"/.gitattributes")
		}
	}
	entries, err := m.entries(ctx, c.want.SHA, false, asked...)
	if err != nil {
		return s, err
	}
	isFolder := false
	for _, e := range entries {
		switch {
		case !slices.Contains(asked, e.path): // ls-tree goes into a folder that is on the way to another path
		case e.kind == kindCommit:
			s.module = &e
		case e.path == c.SubPath:
			isFolder = e.kind == kindTree
		case e.kind == kindBlob && e.mode != "120000" && strings.HasPrefix(path.Base(e.path), "."):
			s.around = append(s.around, e)
		}
	}
	switch {
	case s.module != nil && c.SkipSubmodules:
		return s, fmt.Errorf("%s is in the submodule %s, and submodules are left out", c.SubPath, s.module.path)
	case s.module == nil && !isFolder:
		return s, m.noFolder(ctx, c)
	case s.module != nil:
		return s, nil
	}
	below, err := m.entries(ctx, c.want.SHA, true, c.SubPath)
	for _, e := range below {
		if e.kind == kindBlob {
			s.blobs = append(s.blobs, e.sha)
		}
	}
	return s, err
}

// missing names the files that a checkout of a sub-folder needs and that aren't in the mirror.
func (m *mirror) missing(ctx context.Context, c *checkout) ([]string, error) {
	s, err := m.selected(ctx, c)
	if err != nil {
		return nil, err
	}
	asked := s.blobs
	for _, e := range s.around {
		asked = append(asked, e.sha)
	}
	if len(asked) == 0 {
		return nil, nil
	}
	out, err := m.r.do(ctx, call{
		dir: m.path, env: m.env(), stdin: strings.Join(asked, "\n") + "\n",
		args: []string{"cat-file", "--batch-check=%(objecttype)"},
	})
	if err != nil {
		return nil, err
	}
	var missing []string
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		if sha, ok := strings.CutSuffix(strings.TrimSpace(line), " missing"); ok && !seen[sha] {
			seen[sha] = true
			missing = append(missing, sha)
		}
	}
	return missing, nil
}

// fetchBlobs brings the files of a sub-folder, all at once.
func (m *mirror) fetchBlobs(ctx context.Context, c *checkout) error {
	missing, err := m.missing(ctx, c)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = m.r.remote(ctx, call{
		dir: m.path, env: m.env(), stdin: strings.Join(missing, "\n") + "\n",
		args: []string{
			"-c", "fetch.negotiationAlgorithm=noop", "fetch", "--progress", "--no-tags", "--no-write-fetch-head",
			"--stdin", "--end-of-options", "origin",
		},
	})
	return err
}

// subFolder writes the files of a sub-folder.
func (m *mirror) subFolder(ctx context.Context, c *checkout, env []string) error {
	s, err := m.selected(ctx, c)
	if err != nil || s.module != nil {
		return err
	}
	// What is in the index counts as attributes, and isn't written.
	var index strings.Builder
	for _, e := range s.around {
		fmt.Fprintf(&index, "%s %s\t%s\x00", e.mode, e.sha, e.path)
	}
	if index.Len() > 0 {
		if _, err := m.r.do(ctx, call{dir: c.dir, env: env, stdin: index.String(), args: []string{"update-index", "-z", "--index-info"}}); err != nil {
			return err
		}
	}
	_, err = m.r.run(ctx, c.dir, env, "read-tree", "--prefix="+c.SubPath+"/", "-u", c.sha+":"+c.SubPath)
	return err
}
