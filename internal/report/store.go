package report

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"strake.dev/strake/stages"
)

const (
	runsDir = "runs"
	suffix  = ".jsonl"
	// keptRuns is how many runs a store keeps.
	keptRuns = 20
)

// A Store keeps the events of the last runs of a workspace, those of each in a file that only its user can
// read.
type Store struct{ dir string }

// OpenStore returns the store of a workspace. It need not exist.
func OpenStore(workspace string) Store { return Store{filepath.Join(workspace, runsDir)} }

// NewID returns an ID for a run that starts now. IDs sort by time.
func NewID(now time.Time) string {
	var random [2]byte
	_, _ = rand.Read(random[:]) // it never fails
	return now.UTC().Format("20060102T150405.000Z") + "-" + hex.EncodeToString(random[:])
}

// A Log is a run's file in a store.
type Log struct {
	file *os.File
	err  error
}

// Create begins to keep a run, and drops the oldest ones.
func (s Store) Create(id string) (*Log, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(s.dir, id+suffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	ids, err := s.List()
	for _, old := range ids[min(keptRuns, len(ids)):] {
		err = errors.Join(err, os.Remove(s.path(old)))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Log{file: file}, nil
}

// Add writes a line at once, so that a process that is killed leaves whole lines. After an error nothing
// more is written; Close returns it.
func (l *Log) Add(line Line) {
	if l.err != nil {
		return
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = l.file.Write(append(text, '\n'))
	}
	l.err = err
}

// Close ends the file.
func (l *Log) Close() error { return errors.Join(l.err, l.file.Close()) }

func (s Store) path(id string) string { return filepath.Join(s.dir, id+suffix) }

// List returns the IDs of the runs that are kept, the latest first.
func (s Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, err
}

// Find returns the ID of the run that is meant: the latest if that is empty, else the one that it is, or
// that alone begins with it.
func (s Store) Find(id string) (string, error) {
	ids, err := s.List()
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", stages.WithHint(fmt.Errorf("no run is kept in %s", s.dir), "name the file of the run with -f, or its folder with --workspace")
	}
	found := slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return !strings.HasPrefix(other, id) })
	switch {
	case id == "" || len(found) == 1 || slices.Contains(found, id):
		if slices.Contains(found, id) {
			return id, nil
		}
		return found[0], nil
	case len(found) == 0:
		return "", stages.WithHint(fmt.Errorf("no run %q is kept", id), "strake report --list lists those that are")
	default:
		return "", fmt.Errorf("run %q could be any of %s", id, strings.Join(found, ", "))
	}
}

// Load reads a kept run.
func (s Store) Load(id string) (*Run, error) {
	file, err := os.Open(s.path(id))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	run, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(id), err)
	}
	return run, nil
}

// Copy writes the lines of a kept run, without one that isn't whole.
func (s Store) Copy(w io.Writer, id string) error {
	text, err := os.ReadFile(s.path(id))
	if err != nil {
		return err
	}
	_, err = w.Write(text[:strings.LastIndexByte(string(text), '\n')+1])
	return err
}
