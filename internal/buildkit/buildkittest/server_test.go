package buildkittest_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"

	"strake.dev/strake/internal/buildkit/buildkittest"
)

// Nothing of a daemon is left after its test, even if that has killed it.
func TestStartLeavesNothing(t *testing.T) {
	var dir, socket string
	t.Run("a daemon", func(t *testing.T) {
		s := buildkittest.Start(t)
		socket = strings.TrimPrefix(s.Address, "unix://")
		dir = filepath.Dir(socket)
		bk, err := client.New(t.Context(), s.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer bk.Close()
		if _, err := bk.ListWorkers(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			t.Error("it still answers")
		}
	})
	if dir == "" {
		t.Skip("was skipped")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left below %s: %v", dir, err)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/*" + filepath.Base(dir))
	if err != nil || len(groups) > 0 {
		t.Errorf("control groups are left: %v, %v", groups, err)
	}
}
