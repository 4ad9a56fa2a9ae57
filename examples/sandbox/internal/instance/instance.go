// Package instance keeps what is known of one sandbox between two calls of the program: where its
// files are, which ports and pod network it has, and who is changing it now.
//
// Everything an instance owns outside its folder (bridge, cgroup, socket folder, packet filter rules)
// is named after its ID, so that it can be found and removed even when its state file is lost.
package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// runRoot returns the folder that holds one short-named folder per instance. A Unix socket's path has
// at most 107 bytes, and a state folder may be deep.
func runRoot() string {
	if os.Geteuid() == 0 {
		return "/run/strake/sandbox"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "strake-sandbox")
	}
	return filepath.Join(os.TempDir(), "strake-sandbox-"+strconv.Itoa(os.Geteuid()))
}

// maxDirLength leaves room below the instance's folder for the longest socket that kubelet makes
// there ("/kubelet/device-plugins/kubelet.sock" and those of plugins) within 107 bytes.
const maxDirLength = 66

// namePattern keeps names usable as a folder, a node's name and a part of a cluster's name.
var namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

// An Instance is one sandbox, running or not.
type Instance struct {
	Name string
	Dir  string // absolute; all that outlives a stop
	Run  string // absolute and short; sockets, and mounts of containers
	ID   string // 8 hexadecimal digits, unique on the machine
}

// Home is the folder that holds all instances: $STRAKE_SANDBOX_HOME, else
// $XDG_STATE_HOME/strake/sandbox, else ~/.local/state/strake/sandbox.
func Home() (string, error) {
	if dir := os.Getenv("STRAKE_SANDBOX_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "strake", "sandbox"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the state folder: %w; set STRAKE_SANDBOX_HOME", err)
	}
	return filepath.Join(home, ".local", "state", "strake", "sandbox"), nil
}

// New returns the instance of that name below home, an absolute path. It changes nothing on disk.
func New(home, name string) (*Instance, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("instance name %q: use at most 32 lower-case letters, digits and inner dashes", name)
	}
	dir := filepath.Join(home, name)
	if len(dir) > maxDirLength {
		return nil, fmt.Errorf("instance folder %s has %d characters, more than %d: sockets below it would not work; set STRAKE_SANDBOX_HOME to a shorter path", dir, len(dir), maxDirLength)
	}
	sum := sha256.Sum256([]byte(dir))
	id := hex.EncodeToString(sum[:4])
	return &Instance{Name: name, Dir: dir, Run: filepath.Join(runRoot(), id), ID: id}, nil
}

// Path joins elem to the instance's folder.
func (i *Instance) Path(elem ...string) string {
	return filepath.Join(append([]string{i.Dir}, elem...)...)
}

// Exists tells whether the instance was ever brought up and not purged.
func (i *Instance) Exists() bool {
	_, err := os.Stat(i.Path(stateFile))
	return err == nil
}

// Create makes the instance's folders. Both are the owner's alone, as they hold keys.
func (i *Instance) Create() error {
	return errors.Join(os.MkdirAll(i.Dir, 0o700), os.MkdirAll(i.Run, 0o700))
}
