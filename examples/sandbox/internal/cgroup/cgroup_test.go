package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestCreateUseRemove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making control groups needs root")
	}
	name := "strake-sandbox-test-" + strconv.Itoa(os.Getpid())
	t.Cleanup(func() {
		if err := Remove(name); err != nil {
			t.Error(err)
		}
	})
	for range 2 { // the second time it is there
		if err := Create(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := Create(name + "/inner"); err != nil {
		t.Fatal(err)
	}
	if children, err := Children(name); err != nil || !slices.Equal(children, []string{"inner"}) {
		t.Errorf("Children() = %v, %v", children, err)
	}

	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	roots, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		if err := os.WriteFile(filepath.Join(root, name, "inner", "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pids, err := Processes(name); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("Processes() = %v, %v, want %d", pids, err, cmd.Process.Pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := Remove(name); err != nil {
		t.Error(err)
	}
	if pids, err := Processes(name); err != nil || len(pids) > 0 {
		t.Errorf("Processes() of nothing = %v, %v", pids, err)
	}
}
