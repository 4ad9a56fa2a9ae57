package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestQuote(t *testing.T) {
	for _, value := range []string{"", "plain", "/a/b-c.d:1,2=3@4", "a b", "it's", "$HOME", "a\nb", "`x`", `"`, "é"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(value)).Output()
		if err != nil || string(out) != value {
			t.Errorf("quote(%q) = %s: shell reads %q, %v", value, quote(value), out, err)
		}
	}
}

func TestCommandsCheckTheirFlags(t *testing.T) {
	t.Setenv("STRAKE_SANDBOX_HOME", t.TempDir())
	for args, want := range map[string]string{
		"up --node vm":         "use real or kwok",
		"status --output yaml": "use text or json",
		"env --output yaml":    "use text or json",
		"status --name A":      "instance name",
		"status":               "run up first",
		"env":                  "run up first",
		"logs":                 "run up first",
		"up now":               "unknown command",
		"seed":                 "at least 1 arg",
		"seed vim":             `no image "vim"; there are: buildkit, node, registry`,
		"seed node":            "run up first",
	} {
		var out, progress bytes.Buffer
		root := newRoot(&out, &progress)
		root.SetArgs(strings.Fields(args))
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("sandbox %s: got %v, want %q", args, err, want)
		}
	}
}

func TestCopyLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo"), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines []string
	keep := func(line string) error { lines = append(lines, line); return nil }
	if err := copyLines(t.Context(), path, false, keep); err != nil || strings.Join(lines, "|") != "one\n|two\n" {
		t.Errorf("lines %q, %v", lines, err)
	}
}

func TestCopyLinesFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var lines []string
	err := copyLines(ctx, path, true, func(line string) error {
		lines = append(lines, line)
		if len(lines) == 2 {
			cancel()
			return nil
		}
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = file.WriteString("o\n")
		return err
	})
	if err != nil || strings.Join(lines, "|") != "one\n|two\n" {
		t.Errorf("lines %q, %v", lines, err)
	}
}
