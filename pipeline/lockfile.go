package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/atomicwriter"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// lockSuffix is what the names of lock files end in.
const lockSuffix = ".lock.yaml"

// LockFileFor names the lock file that belongs to an App's file: app.lock.yaml beside app.yaml, and for a target
// app.TARGET.lock.yaml.
func LockFileFor(file, target string) string {
	if file == "" || file == "-" {
		return ""
	}
	base := file
	for _, ext := range []string{".yaml", ".yml"} {
		base = strings.TrimSuffix(base, ext)
	}
	if target != "" {
		base += "." + target
	}
	return base + lockSuffix
}

func readLock(file string, enforce bool) (*stages.Lock, error) {
	lock := &stages.Lock{Enforce: enforce}
	if file == "" {
		if enforce {
			return nil, &stages.LockError{Entry: "file", Reason: "a file from standard input has no lock file: name one with --lock-file"}
		}
		return lock, nil
	}
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if enforce {
			return nil, &stages.LockError{Entry: "file " + file, Reason: "does not exist: run once without --locked to write it"}
		}
		return lock, nil
	case err != nil:
		return nil, fmt.Errorf("lock file: %w", err)
	}
	lock.File, err = schema.ReadLock(file, data)
	return lock, err
}

// release lets entries of a lock move.
func release(lock *stages.Lock, move []string) error {
	known := lock.File.Entries()
	for _, name := range move {
		if !slices.Contains(known, name) {
			return &UnknownEntryError{Name: name, Known: known}
		}
	}
	lock.Free = move
	return nil
}

// writeLock writes the lock file whole and at once, and only when it changes.
func writeLock(file string, lock schema.Lock) (changed bool, err error) {
	data, err := lock.Bytes()
	if err != nil {
		return false, fmt.Errorf("lock file: %w", err)
	}
	old, err := os.ReadFile(file)
	if err == nil && bytes.Equal(old, data) {
		return false, nil
	}
	if err := atomicwriter.WriteFile(file, data, 0o644); err != nil {
		return false, fmt.Errorf("lock file %s: %w", filepath.Base(file), err)
	}
	return true, nil
}

// staleLock returns everything in which the lock file and this run differ.
func staleLock(old, now schema.Lock) error {
	var errs []error
	for _, d := range old.Differences(now) {
		errs = append(errs, &stages.LockError{Entry: d.Entry, Reason: d.Reason})
	}
	return errors.Join(errs...)
}
