package buildkittest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
)

// A Server is a buildkitd of a test's own.
type Server struct {
	// Address is where it listens: a socket, or with [TCP] a port of 127.0.0.1.
	Address string
	// Log is the path of its log, at debug level.
	Log string

	t      testing.TB
	dir    string
	cgroup string
	tls    *serverTLS
	tcp    bool
	cmd    *exec.Cmd
	ended  chan struct{}
	kill   sync.Once
}

// An Option changes how [Start] starts a daemon.
type Option func(*Server)

// TCP makes the daemon listen on a port instead of a socket.
func TCP() Option { return func(s *Server) { s.tcp = true } }

// TLS makes the daemon listen on a port, and talk only to clients with a certificate of that
// authority. Its own is from there too, is for 127.0.0.1 and buildkitd.test, and ends, or has ended,
// at a time.
func TLS(a *Authority, until time.Time) Option {
	return func(s *Server) { s.tcp, s.tls = true, a.server(s.t, until) }
}

// Start starts another buildkitd than the sandbox's, with a store of its own that is empty, the
// sandbox's registry as mirror of docker.io, and the machine's runc. All of it is gone when the test
// ends. Without a sandbox, or without root's rights, the test is skipped.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	program := os.Getenv("STRAKE_SANDBOX_BUILDKITD")
	if program == "" {
		t.Skip("needs the sandbox: STRAKE_SANDBOX_BUILDKITD is not set")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "bk-") //nolint:usetesting // t.TempDir is too long a path for sockets
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, Log: filepath.Join(dir, "log"), cgroup: "strake-" + filepath.Base(dir), ended: make(chan struct{})}
	t.Cleanup(s.remove)
	for _, option := range options {
		option(s)
	}
	s.Address = "unix://" + filepath.Join(dir, "sock")
	if s.tcp {
		s.Address = "tcp://" + freePort(t)
	}
	s.run(program)
	s.await()
	return s
}

// run starts the daemon in process and mount namespaces of its own, so that what it has started and
// mounted goes with it, however it ends.
func (s *Server) run(program string) {
	s.t.Helper()
	config := filepath.Join(s.dir, "buildkitd.toml")
	if err := os.WriteFile(config, []byte(s.config()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	log, err := os.Create(s.Log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	// runc keeps its state below /run.
	s.cmd = exec.Command("/bin/sh", "-c",
		`mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs run /run && exec "$0" "$@"`, program, "--config", config)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Dir = s.dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		// That it was killed is no news.
		_ = s.cmd.Wait()
	}()
}

func (s *Server) config() string {
	var tls string
	if s.tls != nil {
		tls = s.tls.write(s.t, s.dir)
	}
	registry := os.Getenv("STRAKE_SANDBOX_REGISTRY")
	config := fmt.Sprintf(`debug = true
root = %[1]q

[grpc]
  address = [%[2]q]
%[3]s
[otel]
  socketPath = %[4]q

[cdi]
  disabled = true

[worker.containerd]
  enabled = false

[worker.oci]
  enabled = true
  snapshotter = "overlayfs"
  networkMode = "host"
  defaultCgroupParent = %[5]q

[registry."docker.io"]
  mirrors = [%[6]q]

[registry.%[6]q]
  http = true
  insecure = true
`, filepath.Join(s.dir, "root"), s.Address, tls, filepath.Join(s.dir, "otel"), "/"+s.cgroup, registry)
	if pods := os.Getenv("STRAKE_SANDBOX_POD_REGISTRY"); pods != "" {
		config += fmt.Sprintf("\n[registry.%q]\n  mirrors = [%q]\n  http = true\n  insecure = true\n", pods, registry)
	}
	return config
}

// await waits until the daemon answers.
func (s *Server) await() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := s.answers(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-s.ended:
		case <-ctx.Done():
		}
		log, _ := os.ReadFile(s.Log)
		s.t.Fatalf("buildkitd doesn't answer: %v\n%s", err, log)
	}
}

// answers tells whether the daemon listens and, unless only clients with a certificate may ask,
// answers.
func (s *Server) answers(ctx context.Context) error {
	if s.tls != nil {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.Address, "tcp://"))
		if err == nil {
			conn.Close()
		}
		return err
	}
	bk, err := client.New(ctx, s.Address)
	if err != nil {
		return err
	}
	defer bk.Close()
	_, err = bk.ListWorkers(ctx)
	return err
}

// Kill ends the daemon and all that it runs, without a warning, and returns when it has ended. It
// leaves the store alone.
func (s *Server) Kill() {
	s.kill.Do(func() {
		// An error says that it has ended already.
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.ended
	})
}

// remove removes all that is left of a daemon.
func (s *Server) remove() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.Kill()
	}
	if s.t.Failed() {
		log, _ := os.ReadFile(s.Log)
		s.t.Logf("last words of the buildkitd at %s:\n%s", s.Address, log[max(0, len(log)-4096):])
	}
	errs := []error{os.RemoveAll(s.dir)}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		groups, err := filepath.Glob(pattern + s.cgroup)
		errs = append(errs, err)
		for _, group := range groups {
			errs = append(errs, removeGroups(group))
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.t.Error(err)
	}
}

// removeGroups removes a control group and those below it.
func removeGroups(dir string) error {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	for _, group := range slices.Backward(groups) {
		// A killed process may take a moment to leave its group.
		for tries := range 100 {
			failed := os.Remove(group)
			if failed == nil {
				break
			}
			if tries == 99 {
				err = errors.Join(err, failed)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return err
}

// freePort returns an address of this machine on which nobody listens.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
