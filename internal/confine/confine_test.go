package confine

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs a shell script, confined to a folder out that it may write and a folder in that it may read, and returns
// what it printed.
func run(t testing.TB, script string, change ...func(*Command)) (string, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "in", "file"), []byte("readable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	c := &Command{
		Program: program, Args: []string{"script"}, Dir: filepath.Join(dir, "out"),
		Env:  []string{"PATH=/usr/bin:/bin", "IN=" + filepath.Join(dir, "in"), "OUT=" + filepath.Join(dir, "out"), "TOP=" + dir},
		Read: []string{filepath.Join(dir, "in")}, Write: []string{filepath.Join(dir, "out")},
		Limits: Limits{Memory: 256 << 20, Processes: 32, File: 1 << 20},
	}
	for _, f := range change {
		f(c)
	}
	p, err := Start(c)
	if err != nil {
		return "", err
	}
	for _, gap := range p.Gaps {
		t.Log("gap:", gap)
	}
	_ = p.Stdin.Close()
	timer := time.AfterFunc(20*time.Second, p.Kill)
	defer timer.Stop()
	said, err := io.ReadAll(io.MultiReader(p.Stdout, p.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout.Close()
	p.Stderr.Close()
	return string(said), p.Wait()
}

func TestStart(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		script, want, not string
	}{
		"reads what it may":           {"cat $IN/file", "readable", ""},
		"writes what it may":          {"echo hi > $OUT/f && mkdir $OUT/d && mv $OUT/f $OUT/d/g && cat $OUT/d/g", "hi", ""},
		"reads nothing else":          {"cat " + secret, "Permission denied", "hunter2"},
		"not through a link":          {"ln -s " + secret + " $OUT/l; cat $OUT/l", "Permission denied", "hunter2"},
		"writes nothing else":         {"echo escaped > $TOP/f; cat $TOP/f", "cannot", "escaped"},
		"doesn't write what it reads": {"echo changed > $IN/file; cat $IN/file", "readable", "changed"},
		"changes no modes":            {"chmod 777 $IN/file || echo refused", "refused", ""},
		"no processes of others":      {"cat /proc/1/environ /proc/$PPID/environ; kill -0 " + "1 2>/dev/null; ls /proc", "Permission denied", "PATH="},
		"no environment":              {"env", "OUT=", "HOME="},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			said, _ := run(t, test.script)
			if !strings.Contains(said, test.want) || test.not != "" && strings.Contains(said, test.not) {
				t.Errorf("expected %q and not %q, found:\n%s", test.want, test.not, said)
			}
		})
	}
}

func TestNothingIsLeft(t *testing.T) {
	mark := "3141" + time.Now().Format("150405")
	began := time.Now()
	_, _ = run(t, "setsid sleep "+mark+" & (setsid sleep "+mark+" &) ; exit 0")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	time.Sleep(50 * time.Millisecond)
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), mark) {
			t.Errorf("%s is left: %q", f, line)
		}
	}
}

func TestForkBomb(t *testing.T) {
	said, _ := run(t, "b() { b | b & }; b; sleep 1; echo done")
	t.Log(len(said), said[:min(200, len(said))])
}

func TestRequired(t *testing.T) {
	_, err := run(t, "true", func(c *Command) { c.Required = true })
	if err != nil && !errors.Is(err, ErrUnconfined) {
		t.Error(err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		if _, err := run(b, "exit 0"); err != nil {
			b.Fatal(err)
		}
	}
}
