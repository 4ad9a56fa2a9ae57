package confine

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strake.dev/strake/internal/confine/confinetest"
)

// TestMain makes the test's executable the program that attacks.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && attacks[os.Args[1]].do != nil {
		if err := attacks[os.Args[1]].do(); err != nil {
			fmt.Println("failed:", err)
			os.Exit(0)
		}
		fmt.Println(succeeded)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const succeeded = "the attack has succeeded"

// The limits of the programs that attack.
const (
	mostMemory    = 256 << 20
	mostProcesses = 24
	mostFile      = 1 << 20
)

// attacks are what a program must not do, each such that it does no harm where it may: what it reaches for is named
// by its environment.
var attacks = map[string]struct {
	do func() error
	// root means that only root could do it, unconfined.
	root bool
	// namespace means that only a PID or user namespace keeps it from that, a gap that is told where there is none.
	namespace bool
}{
	"reads a file":          {do: func() error { return read(os.Getenv("VICTIM") + "/secret") }},
	"reads the passwords":   {do: func() error { return read("/etc/shadow") }, root: true},
	"reads the kube config": {do: func() error { return read(os.Getenv("VICTIM") + "/.kube/config") }},
	"lists a folder":        {do: func() error { _, err := os.ReadDir(os.Getenv("VICTIM")); return err }},
	"reads by a link":       {do: func() error { return readByLink() }},
	"writes a file":         {do: func() error { return os.WriteFile(os.Getenv("VICTIM")+"/new", nil, 0o600) }},
	"changes a file":        {do: func() error { return os.Truncate(os.Getenv("VICTIM")+"/secret", 1) }},
	"removes a file":        {do: func() error { return os.Remove(os.Getenv("VICTIM") + "/secret") }},
	"writes what it reads":  {do: func() error { return os.WriteFile(os.Getenv("IN")+"/file", nil, 0o600) }},
	"writes through a folder that became a link": {do: swapped},
	"changes a mode":                 {do: func() error { return os.Chmod(os.Getenv("VICTIM")+"/secret", 0o666) }},
	"reads the environment":          {do: func() error { return has(os.Getenv("STRAKE_ATTACK_SECRET")) }},
	"reads a process's command":      {do: func() error { return read("/proc/" + os.Getenv("PID") + "/cmdline") }},
	"reads its environment":          {do: func() error { return read("/proc/" + os.Getenv("PID") + "/environ") }},
	"signals a process":              {do: func() error { return syscall.Kill(victimPID(), syscall.SIGCONT) }},
	"traces a process":               {do: trace},
	"connects to TCP":                {do: func() error { return connect("tcp", os.Getenv("TCP")) }},
	"sends by UDP":                   {do: func() error { return connect("udp", os.Getenv("TCP")) }},
	"listens on TCP":                 {do: func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err }},
	"connects to a socket":           {do: func() error { return connect("unix", os.Getenv("VICTIM")+"/socket") }},
	"connects to an abstract socket": {do: func() error { return connect("unix", "@"+os.Getenv("ABSTRACT")) }},
	"forks":                          {do: func() error { return forks() }},
	"takes memory":                   {do: takeMemory},
	"writes a large file":            {do: func() error { return os.WriteFile(os.Getenv("OUT")+"/large", make([]byte, 2*mostFile), 0o600) }},
	"mounts":                         {do: func() error { return shell("unshare -Urm mount -t tmpfs none $OUT") }},
	"makes a user namespace":         {do: func() error { return shell("unshare -U true") }},
	"makes one by clone":             {do: cloneUser},
	"changes its root":               {do: func() error { return unix.Chroot(os.Getenv("OUT")) }, root: true},
	"uses keys": {do: func() error {
		_, err := unix.AddKey("user", "strake-attack", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		return err
	}},
	"uses shared memory": {do: sharedMemory},
	"makes a device":     {do: func() error { return unix.Mknod(os.Getenv("OUT")+"/null", unix.S_IFCHR|0o666, 1<<8|3) }, root: true},
	"leaves a daemon":    {do: daemon, namespace: true},
	"ignores the end":    {do: ignore},
}

func read(path string) error {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	return err
}

func readByLink() error {
	link := os.Getenv("OUT") + "/link"
	if err := os.Symlink(os.Getenv("VICTIM")+"/secret", link); err != nil {
		return err
	}
	return read(link)
}

// swapped writes to a folder that it has, and makes it a link meanwhile.
func swapped() error {
	dir := os.Getenv("OUT") + "/d"
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Rename(dir, dir+"2"), os.Symlink(os.Getenv("VICTIM"), dir)); err != nil {
		return err
	}
	return os.WriteFile(dir+"/new", nil, 0o600)
}

func has(text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	return nil
}

func victimPID() int {
	pid, _ := strconv.Atoi(os.Getenv("PID")) // the test has set it
	return pid
}

func trace() error {
	pid := victimPID()
	if err := unix.PtraceSeize(pid); err != nil {
		return err
	}
	return nil // its end detaches it
}

func connect(network, address string) error {
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("x"))
	return errors.Join(err, c.Close())
}

// forks starts twice as many processes as it may.
func forks() error {
	var all []*exec.Cmd
	defer func() {
		for _, c := range all {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}()
	for range 2 * mostProcesses {
		c := exec.Command("/bin/sleep", "20")
		if err := c.Start(); err != nil {
			return err
		}
		all = append(all, c)
	}
	return nil
}

func takeMemory() error {
	m, err := unix.Mmap(-1, 0, 2*mostMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return err
	}
	return unix.Munmap(m)
}

func shell(script string) error {
	out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

func cloneUser() error {
	c := exec.Command("/bin/true")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID}
	return c.Run()
}

func sharedMemory() error {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		return err
	}
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}

func daemon() error {
	c := exec.Command("/bin/sleep", os.Getenv("MARK"))
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c.Start()
}

func ignore() error {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("ready")
	time.Sleep(20 * time.Second)
	return nil
}

// A target is what a program attacks.
type target struct {
	dir, mark string
	env       []string
}

func newTarget(t *testing.T) *target {
	t.Helper()
	dir, err := os.MkdirTemp("", "a") //nolint:usetesting // the paths of sockets have to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v := &target{dir: dir, mark: fmt.Sprintf("60%d", time.Now().UnixNano())}
	for _, d := range []string{"in", "out", "victim", "victim/.kube"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"in/file", "victim/secret", "victim/.kube/config"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("hunter2"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tcp := listen(t, "tcp", "127.0.0.1:0")
	listen(t, "unix", filepath.Join(dir, "victim", "socket"))
	listen(t, "unix", "@"+v.mark)
	sleep := exec.Command("/bin/sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	v.env = []string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "IN=" + dir + "/in", "OUT=" + dir + "/out", "VICTIM=" + dir + "/victim",
		"TCP=" + tcp, "ABSTRACT=" + v.mark, "MARK=" + v.mark, fmt.Sprintf("PID=%d", sleep.Process.Pid),
	}
	return v
}

func listen(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// left tells whether the daemon is there, and ends it.
func (v *target) left(t *testing.T) bool {
	t.Helper()
	found := false
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lines {
		line, _ := os.ReadFile(f)
		if string(line) != "/bin/sleep\x00"+v.mark+"\x00" {
			continue
		}
		found = true
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return found
}

// bare runs the attack with nothing that keeps it from it, and tells whether it has succeeded.
func (v *target) bare(t *testing.T, name string) (bool, string) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(own, name)
	cmd.Env, cmd.Dir = append(v.env, "STRAKE_ATTACK_SECRET=hunter2"), v.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if name == "ignores the end" {
		cmd.Stdout = nil
		ready, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = ready.Read(make([]byte, 1))
		_ = cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(200 * time.Millisecond)
		still := cmd.Process.Kill() == nil
		_ = cmd.Wait()
		return still, ""
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	ok := strings.Contains(out.String(), succeeded)
	if name == "leaves a daemon" {
		ok = v.left(t)
	}
	return ok, out.String()
}

// confined runs the attack confined.
func (v *target) confined(t *testing.T, name string) (bool, string) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	t.Setenv("STRAKE_ATTACK_SECRET", "hunter2")
	p, err := Start(&Command{
		Program: program, Args: []string{"attack", name}, Env: v.env, Dir: v.dir + "/out",
		Read: []string{v.dir + "/in"}, Write: []string{v.dir + "/out"},
		Limits: Limits{Memory: mostMemory, Processes: mostProcesses, File: mostFile},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	_ = p.Stdin.Close()
	if name == "ignores the end" {
		_, _ = p.Stdout.Read(make([]byte, 1))
		p.Stop(200 * time.Millisecond)
		select {
		case <-p.Done():
			return false, ""
		case <-time.After(2 * time.Second):
			return true, "is still there"
		}
	}
	var out bytes.Buffer
	_, _ = out.ReadFrom(p.Stdout)
	_, _ = out.ReadFrom(p.Stderr)
	_ = p.Wait() // some are killed
	ok := strings.Contains(out.String(), succeeded)
	if name == "leaves a daemon" {
		ok = v.left(t)
	}
	return ok, out.String()
}

// Each attack succeeds where nothing keeps the program from it, and fails confined: so it is the confinement that it
// fails by.
func TestAttacks(t *testing.T) {
	namespaces := cloneUser() == nil || os.Getuid() == 0
	for name, a := range attacks {
		if a.root && os.Getuid() != 0 || a.namespace && !namespaces {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := newTarget(t)
			needs := strings.Contains(name, "mount") || strings.Contains(name, "makes")
			if ok, said := v.bare(t, name); !ok && (!needs || namespaces) {
				t.Errorf("unconfined it fails, and so says nothing: %s", said)
			}
			v = newTarget(t)
			if ok, said := v.confined(t, name); ok {
				t.Errorf("confined it succeeds: %s", said)
			}
		})
	}
}

func TestAttacksAsNobody(t *testing.T) {
	confinetest.AsNobody(t, "^(TestAttacks|TestStart|TestNothingIsLeft|TestForkBomb|TestWholly)$")
}

// TestWholly: where there are user namespaces, a user without rights has no gap.
func TestWholly(t *testing.T) {
	if cloneUser() != nil {
		t.Skip("needs user namespaces")
	}
	if _, err := run(t, "true", func(c *Command) { c.Required = true }); err != nil {
		t.Error(err)
	}
}

// Without user namespaces the rest holds, and what is missing is told by its name.
func TestAttacksWithoutNamespaces(t *testing.T) {
	confinetest.WithoutNamespaces(t, "^(TestAttacks|TestGap)$")
}

func TestGap(t *testing.T) {
	if cloneUser() == nil {
		t.Skip("has user namespaces; see TestAttacksWithoutNamespaces")
	}
	_, err := run(t, "echo ran", func(c *Command) { c.Required = true })
	const want = "this machine can't confine it: no user namespace (the sysctl user.max_user_namespaces or user.max_pid_namespaces allows no more), and so no PID namespace: what it leaves running in sessions of its own isn't ended with it"
	if !errors.Is(err, ErrUnconfined) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("expected %q, found %v", want, err)
	}
	said, err := run(t, "echo ran")
	if err != nil || said != "ran\n" {
		t.Errorf("where it isn't required it runs: %q %v", said, err)
	}
}
