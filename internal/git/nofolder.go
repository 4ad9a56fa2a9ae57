package git

import (
	"context"
	"fmt"
	"path"
	"strings"

	"strake.dev/strake/stages"
)

// noFolder is the error of a sub-folder that a commit doesn't have, with the names of those that it has.
func (m *mirror) noFolder(ctx context.Context, c *checkout) error {
	parent, tree := path.Dir(c.SubPath), c.want.SHA
	if parent != "." {
		tree += ":" + parent
	}
	entries, err := m.entries(ctx, tree, false)
	if ctx.Err() != nil {
		return err
	}
	var folders []string
	for _, e := range entries { // none if the parent isn't there, either
		switch name := path.Join(parent, e.path); {
		case name == c.SubPath:
			return fmt.Errorf("subPath %s is no folder", c.SubPath)
		case e.kind == kindTree:
			folders = append(folders, name)
		}
	}
	err = fmt.Errorf("subPath %s is not in the source", c.SubPath)
	const few = 12
	if len(folders) == 0 || len(folders) > few {
		return err
	}
	return stages.WithHint(err, "folders there: %s", strings.Join(folders, ", "))
}
