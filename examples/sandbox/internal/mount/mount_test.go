package mount

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemoveBelow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	outer, inner := filepath.Join(dir, "a b"), filepath.Join(dir, "a b", "c")
	beside := dir + "-beside"
	for _, point := range []string{outer, inner, beside} {
		if err := os.MkdirAll(point, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", point, "tmpfs", 0, ""); err != nil {
			t.Skipf("mounting is not allowed here: %v", err)
		}
	}
	t.Cleanup(func() {
		if err := RemoveBelow(beside); err != nil {
			t.Error(err)
		}
		_ = os.Remove(beside)
	})
	if points, err := Below(dir); err != nil || !slices.Equal(points, []string{outer, inner}) {
		t.Errorf("Below() = %v, %v", points, err)
	}
	if err := RemoveBelow(dir); err != nil {
		t.Fatal(err)
	}
	if points, err := Below(dir); err != nil || len(points) > 0 {
		t.Errorf("left: %v, %v", points, err)
	}
	if points, err := Below(beside); err != nil || len(points) != 1 {
		t.Errorf("beside: %v, %v", points, err)
	}
}
