package hook_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strake.dev/strake/internal/hook"
)

func TestTurns(t *testing.T) {
	home := env("HOME", t.TempDir())
	var now, most, same, mostSame atomic.Int32
	count := func(now, most *atomic.Int32) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(30 * time.Millisecond)
		now.Add(-1)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			// Each has its own, as processes do.
			turns, err := hook.NewTurns(2, home)
			if err != nil {
				t.Error(err)
				return
			}
			done, err := turns.Same(t.Context(), "abcdef")
			if err != nil {
				t.Error(err)
				return
			}
			count(&same, &mostSame)
			done()
		})
		wg.Go(func() {
			turns, err := hook.NewTurns(2, home)
			if err != nil {
				t.Error(err)
				return
			}
			done, err := turns.Build(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			count(&now, &most)
			done()
		})
	}
	wg.Wait()
	if most.Load() != 2 || mostSame.Load() != 1 {
		t.Errorf("%d builds at once, %d of the same input", most.Load(), mostSame.Load())
	}

	turns, err := hook.NewTurns(1, home)
	if err != nil {
		t.Fatal(err)
	}
	done, err := turns.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	over := errors.New("over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, over)
	defer cancel()
	if _, err := turns.Build(ctx); !errors.Is(err, over) {
		t.Errorf("waiting ends with %v", err)
	}
}

func TestTemp(t *testing.T) {
	dir := t.TempDir()
	turns, err := hook.NewTurns(1, env("HOME", dir))
	if err != nil {
		t.Fatal(err)
	}
	temp, done, err := turns.Temp()
	if err != nil {
		t.Fatal(err)
	}
	write(t, temp, "a/b", "x")
	// What a process has left that was killed.
	killed, _, err := turns.Temp()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(killed + ".lock"); err != nil {
		t.Fatal(err)
	}
	write(t, killed, "big", "x")
	write(t, filepath.Dir(killed), filepath.Base(killed)+".lock", "")
	other, otherDone, err := turns.Temp()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !os.IsNotExist(err) {
		t.Errorf("the folder of a killed process: %v", err)
	}
	if _, err := os.Stat(filepath.Join(temp, "a/b")); err != nil {
		t.Errorf("the folder of one that lives: %v", err)
	}
	done()
	otherDone()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(other), "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
