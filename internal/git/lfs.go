package git

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
)

// filtering is the environment in which files are written: the only filter that runs is git-lfs's, whatever
// the repository's attributes name and the user has configured. Its files are kept beside the mirror's objects.
func (m *mirror) filtering(ctx context.Context, skipLFS bool) ([]string, error) {
	// It fails where the user has none.
	out, err := m.git(ctx, "config", "--name-only", "--get-regexp", `^filter\..*\.(smudge|process|clean|required)$`)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	var settings [][2]string
	wanted := false
	for key := range strings.Lines(out) {
		key = strings.TrimSuffix(key, "\n")
		value := ""
		if strings.HasSuffix(key, ".required") {
			value = "false"
		}
		settings = append(settings, [2]string{key, value})
		wanted = wanted || strings.HasPrefix(key, "filter.lfs.")
	}
	// Where the user has configured git-lfs and it is gone, git says so.
	if _, err := exec.LookPath("git-lfs"); !skipLFS && (err == nil || wanted) {
		settings = append(settings, [][2]string{
			{"filter.lfs.smudge", "git-lfs smudge -- %f"},
			{"filter.lfs.process", "git-lfs filter-process"},
			{"filter.lfs.required", "true"},
			{"lfs.storage", filepath.Join(m.path, "lfs")},
		}...)
	}
	env := withConfig(m.r.env, settings)[len(m.r.env):]
	if skipLFS {
		env = append(env, "GIT_LFS_SKIP_SMUDGE=1")
	}
	return env, nil
}
