package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A group is a control group that counts the processes of one program.
type group struct{ dir string }

const groupPrefix = "strake-plugin-"

var groups atomic.Int64

// newGroup makes a group for at most so many processes, and puts a process into it.
func newGroup(pid, most int) (*group, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	err = errors.New("no cgroup with the pids controller can be made")
	for _, parent := range groupParents(string(own)) {
		sweep(parent)
		g := &group{dir: filepath.Join(parent, fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), groups.Add(1)))}
		if os.Mkdir(g.dir, 0o755) != nil {
			continue
		}
		if err = g.enter(pid, most); err == nil {
			return g, nil
		}
		g.remove()
	}
	return nil, err
}

func (g *group) enter(pid, most int) error {
	if _, err := os.Stat(filepath.Join(g.dir, "pids.max")); err != nil {
		return errors.New("no cgroup with the pids controller can be made")
	}
	if err := os.WriteFile(filepath.Join(g.dir, "pids.max"), []byte(strconv.Itoa(most)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

// groupParents lists the folders in which a group could be made: in version 1 below strake's own; in version 2,
// where a group with processes has no children with controllers, beside it.
func groupParents(own string) []string {
	const root = "/sys/fs/cgroup"
	var parents []string
	for line := range strings.Lines(own) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case controllers == "pids":
			parents = append(parents, filepath.Join(root, "pids", path))
		case id == "0" && controllers == "" && path != "/":
			parents = append(parents, filepath.Join(root, filepath.Dir(path)))
		}
	}
	return parents
}

// sweep removes the groups that a strake which was killed has left. They are empty.
func sweep(parent string) {
	left, err := filepath.Glob(filepath.Join(parent, groupPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), groupPrefix), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(dir)
		}
	}
}

// remove removes the group once its processes are gone, which takes the kernel a moment.
func (g *group) remove() {
	if g == nil {
		return
	}
	const patience = 2 * time.Second
	for began := time.Now(); time.Since(began) < patience; time.Sleep(2 * time.Millisecond) {
		if err := os.Remove(g.dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}
