package hook_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"strake.dev/strake/internal/hook"
)

func TestInstall(t *testing.T) {
	self := write(t, t.TempDir(), "strake-1.2", "one")
	dir := filepath.Join(t.TempDir(), "a", "bin")
	content := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	list := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	install := func(tools ...string) {
		t.Helper()
		if err := hook.Install(self, dir, tools); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		install(hook.Tools...)
		if got := list(); !slices.Equal(got, []string{"kapp", "kbld", "strake", "vendir", "ytt"}) || content("kapp") != "one" {
			t.Errorf("%v, %q", got, content("kapp"))
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "ytt")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	// A new version takes the place of the old one, and fewer tools leave fewer links.
	self = write(t, t.TempDir(), "strake-1.3", "two")
	install("ytt", "kbld")
	if got := list(); !slices.Equal(got, []string{"kbld", "strake", "ytt"}) || content("ytt") != "two" {
		t.Errorf("%v, %q", got, content("ytt"))
	}
	// It may be the program that runs.
	self = filepath.Join(dir, "strake")
	install("ytt", "kbld")
	if content("kbld") != "two" {
		t.Error(content("kbld"))
	}
	for name, try := range map[string]func() error{
		"unknown tool": func() error { return hook.Install(self, dir, []string{"helm"}) },
		"no program":   func() error { return hook.Install("/no/such/file", dir, hook.Tools) },
		"a file":       func() error { return hook.Install(self, self, hook.Tools) },
		"a real kapp": func() error {
			write(t, dir, "kapp", "real")
			return hook.Install(self, dir, hook.Tools)
		},
	} {
		if err := try(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if content("kapp") != "real" {
		t.Error("somebody else's file is gone")
	}
}
