package admission_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"strake.dev/strake/internal/admission"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	refused := errors.New("refused")
	asked := 0
	check := func(answer error, parts ...string) error {
		var c admission.Credentials
		for _, p := range parts {
			c = append(c, []byte(p))
		}
		return admission.Check(dir, c, func() error { asked++; return answer })
	}
	for i, step := range []struct {
		parts  []string
		answer error
		asked  int
	}{
		{[]string{"me", "secret"}, refused, 1},
		{[]string{"me", "secret"}, nil, 1},
		{[]string{"me", "secret"}, refused, 0}, // known, and so not asked
		{[]string{"mes", "ecret"}, refused, 1},
		{[]string{"me", "other"}, refused, 1},
		{[]string{"", ""}, nil, 1},
		{[]string{"", ""}, refused, 0},
	} {
		asked = 0
		err := check(step.answer, step.parts...)
		if asked != step.asked || (err != nil) != (step.answer != nil && step.asked > 0) {
			t.Errorf("step %d: asked %d times, %v", i, asked, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "admitted", "*"))
	if err != nil || len(files) != 3 { // the salt, and two that were let in
		t.Errorf("%q, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil || strings.Contains(string(text)+f, "secret") {
			t.Errorf("%s holds %q, %v", f, text, err)
		}
	}
}

func TestCheckAtTheSameTime(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if err := admission.Check(dir, nil, func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := admission.Check(dir, nil, func() error { return errors.New("asked again") }); err != nil {
		t.Error(err)
	}
}
