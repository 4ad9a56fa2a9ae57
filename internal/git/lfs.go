package git

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// filtering is the environment in which files are written: the only filter that runs is git-lfs's, whatever
// the repository's attributes name and the user has configured. Its files are kept beside the mirror's objects.
func (m *mirror) filtering(ctx context.Context, c *checkout) ([]string, error) {
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
	if _, err := exec.LookPath("git-lfs"); !c.SkipLFS && (err == nil || wanted) {
		where, err := m.lfsConfig(ctx, c)
		if err != nil {
			return nil, err
		}
		settings = append(settings, where...)
		settings = append(settings, [][2]string{
			{"filter.lfs.smudge", "git-lfs smudge -- %f"},
			{"filter.lfs.process", "git-lfs filter-process"},
			{"filter.lfs.required", "true"},
			{"lfs.storage", filepath.Join(m.path, "lfs")},
		}...)
	}
	env := withConfig(m.r.env, settings)[len(m.r.env):]
	if c.SkipLFS {
		env = append(env, "GIT_LFS_SKIP_SMUDGE=1")
	}
	return env, nil
}

// lfsConfig is what the repository says of where git-lfs gets its files from, and which. Git-lfs would read it
// from the file, but that may be written later, or not at all.
func (m *mirror) lfsConfig(ctx context.Context, c *checkout) ([][2]string, error) {
	files, err := m.entries(ctx, c.sha, false, ".lfsconfig")
	if err != nil || len(files) == 0 || files[0].kind != kindBlob || files[0].mode == "120000" {
		return nil, err
	}
	out, err := m.git(ctx, "config", "--no-includes", "--blob", files[0].sha, "--list", "-z")
	if err != nil {
		return nil, fmt.Errorf(".lfsconfig: %w", err)
	}
	return parseLFSConfig(out)
}

// parseLFSConfig reads the output of git config --list -z for a .lfsconfig file.
func parseLFSConfig(out string) ([][2]string, error) {
	var settings [][2]string
	for entry := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		switch key {
		case "lfs.url", "remote.origin.lfsurl":
			if err := CheckURL(value); err != nil {
				return nil, fmt.Errorf(".lfsconfig: %s %w", key, err)
			}
			if isLocal(value) {
				return nil, fmt.Errorf(".lfsconfig: %s is a folder of this machine", key)
			}
		case "lfs.fetchinclude", "lfs.fetchexclude":
		default:
			continue
		}
		settings = append(settings, [2]string{key, value})
	}
	return settings, nil
}
