package git

import (
	"testing"
	"time"
)

// SetMostPacks changes for a test how many packs a mirror may have.
func SetMostPacks(t *testing.T, n int) {
	before := mostPacks
	mostPacks = n
	t.Cleanup(func() { mostPacks = before })
}

// SetBackoff changes how long is waited before the remote is asked again.
func (r *Repository) SetBackoff(d time.Duration) { r.backoff = d }
