package names

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// silent is a server that takes connections and never answers. It closes a channel when there is one.
func silent(t *testing.T) (address string, called <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	first := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if n == 0 {
				close(first)
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	return l.Addr().String(), first
}

// What is told to end while it waits, ends soon: with the exit code of the signal, without the processes
// that it has started, and without temporary files.
func TestStop(t *testing.T) {
	t.Parallel()
	vendir := func(source string) string {
		return vendirHead + "directories:\n- path: out\n  contents:\n  - path: .\n    " + source + "\n"
	}
	for name, test := range map[string]struct {
		tool, args, file string
		// child is what the tool runs while it waits.
		child string
	}{
		"vendir and git":  {"vendir", "sync -f x", vendir("git: {url: 'http://SERVER/SOME', ref: main}"), "git-remote-http"},
		"vendir and http": {"vendir", "sync -f x", vendir("http: {url: 'http://SERVER/'}"), ""},
		"kapp":            {"kapp", "list --kubeconfig x", "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'http://SERVER'}}]\ncontexts: [{name: a, context: {cluster: a}}]\ncurrent-context: a\n", ""},
		"ytt":             {"ytt", "-f http://SERVER/a.yml", "", ""},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(fmt.Sprintf("%s %s", name, signal), func(t *testing.T) {
				t.Parallel()
				mark := filepath.Base(t.TempDir()) + filepath.Base(filepath.Dir(t.TempDir()))
				server, called := silent(t)
				fill := strings.NewReplacer("SOME", mark, "SERVER", server)
				dir := folder(t, map[string]string{"x": fill.Replace(test.file)})
				cmd := command(t.Context(), call{args: strings.Fields(fill.Replace(test.args)), dir: dir, env: []string{"TMPDIR=" + dir}}, program(t, "ours/"+test.tool))
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				check(t, cmd.Start())
				select {
				case <-called:
				case <-time.After(patience):
					t.Error("it never called the server")
				}
				if test.child != "" && running(mark) < 2 {
					t.Error("nothing runs that could be left behind")
				}
				began := time.Now()
				check(t, cmd.Process.Signal(signal))
				_ = cmd.Wait()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("took %s", took)
				}
				if code := cmd.ProcessState.ExitCode(); code != 128+int(signal) {
					t.Errorf("exit code %d: %s", code, out.String())
				}
				if n := running(mark); n > 0 {
					t.Errorf("%d processes are left", n)
				}
				left, err := filepath.Glob(filepath.Join(dir, ".*"))
				check(t, err)
				if len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// running counts the processes that have a word in their arguments.
func running(word string) int {
	out, _ := exec.Command("pgrep", "-fc", "--", word).Output()
	n := 0
	_, _ = fmt.Sscan(string(out), &n)
	return n
}
