package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
)

// Note reads what was noted of a key into a value, and tells whether there is anything.
func (s *Store) Note(kind, key string, into any) bool {
	if s == nil {
		return false
	}
	file := s.note(kind, key)
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, into) != nil {
		return false
	}
	if info, err := os.Stat(file); err == nil {
		touch(file, info)
	}
	return true
}

// SetNote notes a value, which must hold no secret; the key may hold one, as only its digest is kept. What
// can't be noted is only asked for again.
func (s *Store) SetNote(kind, key string, value any) {
	if s == nil {
		return
	}
	data, err := json.Marshal(value)
	if err != nil {
		return
	}
	if _, err := s.make(notesDir); err == nil {
		_ = atomicwriter.WriteFile(s.note(kind, key), data, 0o600)
		s.grown.Store(true)
	}
}

func (s *Store) note(kind, key string) string {
	return filepath.Join(s.dir, notesDir, kind+"-"+hashed(key)+".json")
}

// hashed makes a file's name of a key.
func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
