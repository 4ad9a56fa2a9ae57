package extension

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// script is an executable that is a shell script.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "strake-plugin-test")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts an executable that is allowed, without a workspace unless the job says otherwise.
func start(t *testing.T, path string, job *stages.Job, change func(*Config)) (*Session, error) {
	t.Helper()
	config := Config{}
	config.SetDefaults()
	if change != nil {
		change(&config)
	}
	if job == nil {
		job = &stages.Job{Hide: func([]byte) {}, Events: &stagetest.Recorder{}}
	}
	return (&Host{Allowed: []string{path}}).Start(t.Context(), &Call{Ref: Ref{Path: path}, Config: &config, Job: job, Sources: true})
}

// run returns what an executable has printed, and how it has ended.
func run(t *testing.T, path string, job *stages.Job, change func(*Config)) (string, error) {
	t.Helper()
	s, err := start(t, path, job, change)
	if err != nil {
		t.Fatal(err)
	}
	out, readErr := io.ReadAll(s.Stdout)
	err = errors.Join(readErr, s.End())
	return string(out), errors.Join(err, s.Close())
}

// Each limit ends the executable, and is named.
func TestEnds(t *testing.T) {
	tests := map[string]struct {
		script, want string
		change       func(*Config)
	}{
		"by itself":       {"exit 0", "", nil},
		"with a code":     {"echo first >&2; echo out of luck >&2; exit 3", "exit status 3: out of luck", nil},
		"timeout":         {"sleep 30", "took longer than its timeout of 300ms", func(c *Config) { c.Timeout = 300 * time.Millisecond }},
		"ignores the end": {"trap '' TERM; while :; do sleep 0.1; done", "took longer than its timeout of 300ms", func(c *Config) { c.Timeout = 300 * time.Millisecond }},
		"prints":          {"yes", "printed more than 64Ki (maxOutput)", func(c *Config) { c.MaxOutput = "64Ki" }},
		"prints errors":   {"yes >&2", "printed more than 64Ki of errors (maxOutput)", func(c *Config) { c.MaxOutput = "64Ki" }},
		"writes":          {"i=0; while :; do i=$((i+1)); echo x > $HOME/$i; done", "wrote more than 64Ki (maxOutput)", func(c *Config) { c.MaxOutput = "64Ki" }},
		"forks":           {"i=0; while [ $i -lt 20 ]; do i=$((i+1)); sleep 9 & done", "Cannot fork", func(c *Config) { c.MaxProcesses = 8 }},
		"takes memory":    {"exec perl -e '$n = 100_000_000; $x = q(x) x $n'", "Out of memory", func(c *Config) { c.MaxMemory = "32Mi" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := run(t, script(t, test.script), nil, test.change)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("expected %q, found %v", test.want, err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("STRAKE_TEST_GIVEN", "given to it")
	t.Setenv("STRAKE_TEST_OTHER", "not given")
	t.Setenv("KUBECONFIG", "/nowhere")
	var hidden []string
	job := &stages.Job{Hide: func(v []byte) { hidden = append(hidden, string(v)) }, Events: &stagetest.Recorder{}}
	out, err := run(t, script(t, "env | sed 's/=.*//' | sort | tr '\\n' ' '; echo $STRAKE_TEST_GIVEN"), job, func(c *Config) { c.Env = []string{"STRAKE_TEST_GIVEN"} })
	if want := "HOME LANG PATH PWD STRAKE_TEST_GIVEN TMPDIR given to it\n"; err != nil || strings.Replace(out, "_ ", "", 1) != want {
		t.Errorf("expected %q, found %q %v", want, out, err)
	}
	if fmt.Sprint(hidden) != "[given to it]" {
		t.Errorf("hidden: %q", hidden)
	}
	_, err = start(t, script(t, "exit 0"), nil, func(c *Config) { c.Env = []string{"STRAKE_TEST_MISSING"} })
	if err == nil || !strings.Contains(err.Error(), "env: STRAKE_TEST_MISSING isn't set") {
		t.Errorf("found %v", err)
	}
}

// What it prints as errors is logged up to a number of lines, each up to a length, and without what steers terminals.
func TestLog(t *testing.T) {
	events := &stagetest.Recorder{}
	job := &stages.Job{Hide: func([]byte) {}, Events: events}
	text := fmt.Sprintf("{ printf '\\033[2Jcleared\\n'; head -c 100000 /dev/zero | tr '\\0' x; echo; yes | head -n %d; } >&2", maxLogLines)
	if _, err := run(t, script(t, text), job, nil); err != nil {
		t.Fatal(err)
	}
	lines, warnings := 0, ""
	for _, e := range events.Events() {
		switch e.Type {
		case stages.LogLine:
			lines++
			if len(e.Message) > maxLogLine || strings.Contains(e.Message, "\x1b") {
				t.Errorf("a line of %d bytes: %.20q", len(e.Message), e.Message)
			}
		case stages.Warning:
			warnings += e.Message + "\n"
		}
	}
	if lines != maxLogLines || !strings.Contains(warnings, "only the first 10000 lines of what it prints are shown") {
		t.Errorf("found %d lines and %q", lines, warnings)
	}
}

// Nothing runs that isn't allowed by its name or path, or isn't what the lock has.
func TestAdmit(t *testing.T) {
	path := script(t, "exit 0")
	t.Setenv("PATH", "relative:"+filepath.Dir(path)+":/usr/bin:/bin")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	pin, err := (&Host{}).Pin(Ref{Plugin: "test"}, &stages.Job{})
	if err != nil {
		t.Fatal(err)
	}
	locked := func(name, digest string, enforce bool) *stages.Lock {
		return &stages.Lock{Enforce: enforce, File: schema.Lock{Plugins: []schema.LockedPlugin{{Name: name, Digest: digest}}}}
	}
	named, byPath := Ref{Plugin: "test"}, Ref{Path: path}
	tests := map[string]struct {
		ref     Ref
		allowed []string
		lock    *stages.Lock
		want    string
	}{
		"nothing allowed":           {named, nil, nil, "not allowed to run"},
		"by name":                   {named, []string{"test"}, nil, ""},
		"name by path":              {named, []string{path}, nil, ""},
		"path":                      {byPath, []string{path}, nil, ""},
		"path by a link to it":      {byPath, []string{link}, nil, ""},
		"path by the plugin's name": {byPath, []string{"test", "strake-plugin-test"}, nil, "not allowed to run"},
		"another":                   {named, []string{"tes", "test2", "/bin/sh"}, nil, "not allowed to run"},
		"not there":                 {Ref{Plugin: "none"}, []string{"none"}, nil, "no executable strake-plugin-none on PATH"},
		"the lock's":                {named, []string{"test"}, locked("test", pin[0].Digest, true), ""},
		"not the lock's":            {named, []string{"test"}, locked("test", "sha256:00", false), "is " + pin[0].Digest + ", but the lock file has sha256:00"},
		"not in the lock":           {named, []string{"test"}, locked("other", pin[0].Digest, false), ""},
		"not in the lock, enforced": {named, []string{"test"}, locked("other", pin[0].Digest, true), "is not in the lock file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := (&Host{Allowed: test.allowed}).admit(test.ref, &stages.Job{Lock: test.lock})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("expected %q, found %v", test.want, err)
			}
		})
	}
}

// What is run is what was read, whatever becomes of the file.
func TestSwapped(t *testing.T) {
	path := script(t, "echo first")
	h := &Host{Allowed: []string{path}}
	if _, err := h.Pin(Ref{Path: path}, &stages.Job{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho second"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := Config{}
	config.SetDefaults()
	s, err := h.Start(t.Context(), &Call{Ref: Ref{Path: path}, Config: &config, Job: &stages.Job{Hide: func([]byte) {}, Events: &stagetest.Recorder{}}})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(s.Stdout)
	if string(out) != "first\n" {
		t.Errorf("found %q", out)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestFiles(t *testing.T) {
	path := script(t, "")
	dir := t.TempDir()
	link := filepath.Join(dir, "strake-plugin-linked")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, test := range []struct {
		ref  Ref
		want []string
	}{
		{Ref{Path: path}, []string{path}},
		{Ref{Plugin: "linked"}, []string{link, path}},
		{Ref{Path: "none"}, []string{"/app/none"}},
		{Ref{Plugin: "none"}, nil},
	} {
		if found := test.ref.Files("/app"); fmt.Sprint(found) != fmt.Sprint(test.want) {
			t.Errorf("%s: expected %q, found %q", test.ref, test.want, found)
		}
	}
}
