// Package cgroup makes and removes a control group in every hierarchy that the machine has mounted:
// the one of version 2, the several of version 1, or both.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hierarchies returns where control group hierarchies are mounted.
func hierarchies() ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var roots []string
	for line := range strings.Lines(string(info)) {
		mount, source, found := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if found && len(fields) >= 5 && strings.HasPrefix(source, "cgroup") {
			roots = append(roots, fields[4])
		}
	}
	return roots, nil
}

// Create makes the group of that name at the top of every hierarchy. It may exist already.
func Create(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return errors.New("no control groups are mounted; containers need them below /sys/fs/cgroup")
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		// A version 1 cpuset without processors and memory takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inherit(root, dir, file); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit sets a file of the group to what its parent has, if both have it and it isn't set.
func inherit(parent, group, file string) error {
	value, err := os.ReadFile(filepath.Join(parent, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read control group: %w", err)
	}
	old, err := os.ReadFile(filepath.Join(group, file))
	if err != nil || len(bytes.TrimSpace(old)) > 0 {
		return err
	}
	if err := os.WriteFile(filepath.Join(group, file), value, 0o644); err != nil {
		return fmt.Errorf("set up control group: %w", err)
	}
	return nil
}

// Processes returns the ids of all processes in the group and the groups below it.
func Processes(name string) ([]int, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	var pids []int
	for _, root := range roots {
		groups, err := tree(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		for _, group := range groups {
			// A group may vanish meanwhile; then it has no processes.
			procs, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
			for field := range strings.FieldsSeq(string(procs)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids, nil
}

// Children returns the names of the groups directly below the group.
func Children(name string) ([]string, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, root := range roots {
		// A hierarchy without the group has no children of it.
		entries, _ := os.ReadDir(filepath.Join(root, name))
		for _, entry := range entries {
			if entry.IsDir() && !slices.Contains(names, entry.Name()) {
				names = append(names, entry.Name())
			}
		}
	}
	return names, nil
}

// Remove removes the group and the groups below it. All must be without processes.
func Remove(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range roots {
		groups, err := tree(filepath.Join(root, name))
		if err != nil {
			errs = append(errs, err)
		}
		// Parents come before their children in the walk.
		for _, group := range slices.Backward(groups) {
			if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove control group: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// tree returns dir and the folders below it, parents first; nothing if dir is not there.
func tree(dir string) ([]string, error) {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list control groups: %w", err)
	}
	return groups, nil
}
