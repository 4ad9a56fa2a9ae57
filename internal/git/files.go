package git

import (
	"context"
	"os"
	"path/filepath"
)

// files writes the files of a commit, without leaving anything of git's own.
func (m *mirror) files(ctx context.Context, c *checkout) error {
	index, err := os.MkdirTemp(m.r.temp, "index-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(index)
	env, err := m.filtering(ctx, c)
	if err != nil {
		return err
	}
	env = append(env, "GIT_DIR="+m.path, "GIT_WORK_TREE="+c.dir, "GIT_INDEX_FILE="+filepath.Join(index, "index"))
	if c.SubPath != "" {
		return m.subFolder(ctx, c, env)
	}
	_, err = m.r.run(ctx, c.dir, env, "read-tree", "-m", "-u", c.sha)
	return err
}
