package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// workspaceFlags say where a run keeps its files, and its lock.
type workspaceFlags struct {
	workspace string
	lockFile  string
	locked    bool
}

// addFolder adds the flag of commands that have no lock.
func (f *workspaceFlags) addFolder(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.workspace, "workspace", "", "`FOLDER` for the run's files, kept between runs (default: one per file in the user's cache folder)")
	fromEnv(flags, "workspace", "STRAKE_WORKSPACE")
}

func (f *workspaceFlags) add(cmd *cobra.Command) {
	f.addFolder(cmd)
	f.addLock(cmd)
}

// addLock adds the flags of commands that have no workspace.
func (f *workspaceFlags) addLock(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.lockFile, "lock-file", "", "lock `FILE` (default: app.lock.yaml beside app.yaml)")
	fromEnv(flags, "lock-file", "STRAKE_LOCK_FILE")
	flags.BoolVar(&f.locked, "locked", false, "fail if anything is not in the lock file or differs from it")
	fromEnv(flags, "locked", "STRAKE_LOCKED")
}

// lock gives the runs of a session their lock files.
func (f *workspaceFlags) lock(s *session) error {
	if f.lockFile != "" && len(s.units) > 1 {
		return stages.WithHint(s.single(), "--lock-file names the lock file of one run: choose it with --target and --app")
	}
	for _, u := range s.units {
		u.opts.Locked, u.opts.LockFile = f.locked, f.lockFor(u.Unit)
	}
	if s.plan != nil {
		s.opts.Locked, s.opts.LockFile = s.units[0].opts.Locked, s.units[0].opts.LockFile
	}
	return nil
}

// lockFor returns the lock file of a unit's file.
func (f *workspaceFlags) lockFor(u *pipeline.Unit) string {
	if f.lockFile != "" {
		return f.lockFile
	}
	return pipeline.LockFileFor(u.File, u.Target)
}

// unitFolder returns the workspace for a unit, one of several or the only one of its file.
func (f *workspaceFlags) unitFolder(u *pipeline.Unit) (string, error) {
	if f.workspace != "" {
		return filepath.Join(f.workspace, filepath.FromSlash(u.Name)), nil
	}
	name := u.App
	if u.Target != "" {
		name += "-" + u.Target
	}
	return f.folder(u.File, name)
}

// place gives each unit of a session its workspace, whose options have to be complete but for it.
func (f *workspaceFlags) place(s *session) (err error) {
	for _, u := range s.units {
		if u.opts.Workspace, err = f.unitFolder(u.Unit); err != nil {
			return err
		}
	}
	_, name, _ := strings.Cut(s.set.Name, "/")
	whole, err := f.folder(s.file, name)
	switch {
	case s.plan == nil:
		s.opts.Workspace = whole
	case s.units[0].Name == "":
		s.opts = s.units[0].opts
	default:
		s.opts, s.records = s.units[0].opts, whole
	}
	return err
}

// folder returns the workspace for a file whose App has that name. Runs of one file share it; files
// of the same name in different folders don't.
func (f *workspaceFlags) folder(file, app string) (string, error) {
	if f.workspace != "" {
		return f.workspace, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", stages.WithHint(errors.New("workspace: the user has no cache folder"), "name a folder with --workspace, or set XDG_CACHE_HOME or HOME")
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("workspace: %w", err)
	}
	const digits = 12
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(cache, "strake", "workspaces", app+"-"+hex.EncodeToString(sum[:])[:digits]), nil
}
