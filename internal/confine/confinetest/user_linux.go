// Package confinetest runs tests of confinement once more, as users who have less than root.
package confinetest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is the user, and the group, that has nothing.
const nobody = 65534

// AsNobody runs those tests of the calling test's package whose names match once more, as nobody. It skips where the
// tests aren't run by root.
func AsNobody(t *testing.T, tests string) {
	t.Helper()
	again(t, tests, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, nil)
}

// WithoutNamespaces runs tests once more, as a user on a machine that makes no user namespaces, as some
// distributions and most containers don't. It skips where the tests aren't run by root.
func WithoutNamespaces(t *testing.T, tests string) {
	t.Helper()
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs setpriv of util-linux")
	}
	const most = 65535
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: most}}
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{},
	}
	again(t, tests, attr, []string{
		"/bin/sh", "-ec", `echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"`, "sh",
		setpriv, "--reuid=54321", "--regid=54321", "--clear-groups", // a user without processes
	})
}

// again runs the test's own executable, after the words of another command.
func again(t *testing.T, tests string, attr *syscall.SysProcAttr, before []string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "confinetest-") //nolint:usetesting // nobody may not go through the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	own := filepath.Join(dir, "test")
	if err := copyExecutable(own); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "temp")
	for path, mode := range map[string]os.FileMode{dir: 0o755, temp: 0o777} {
		if err := os.MkdirAll(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	words := append(before, own, "-test.run="+tests, "-test.v", "-test.count=1")
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.SysProcAttr = attr
	cmd.Env = append(os.Environ(), "HOME="+temp, "TMPDIR="+temp)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("as another user: %v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}

func copyExecutable(to string) (err error) {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
