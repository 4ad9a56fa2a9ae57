package stagetest

import (
	"strings"

	"strake.dev/strake/stages"
)

// checkKey returns the step's key, empty when it has none. It checks that the key is the same
// for another job of equal content.
func (s *scene) checkKey(step stages.Step) string {
	s.t.Helper()
	first, firstDir := s.key(step)
	second, secondDir := s.key(step)
	if first != second {
		s.t.Errorf("Key: %q for one job and %q for another with equal input", first, second)
	}
	for _, dir := range []string{firstDir, secondDir, s.tmp} {
		if dir != "" && strings.Contains(first, dir) {
			s.t.Errorf("Key: %q names the folder %s of one machine", first, dir)
		}
	}
	return first
}

// key returns the step's key for a new job, and the folder of its sources.
func (s *scene) key(step stages.Step) (key, dir string) {
	s.t.Helper()
	keyer, ok := step.(stages.Keyer)
	if !ok {
		return "", ""
	}
	dir = s.tmp
	s.in("Key", func(job *stages.Job) error {
		dir = job.Sources.Dir()
		early := *job
		early.Out = nil
		var err error
		if key, err = keyer.Key(s.t.Context(), &early); err != nil && s.c.WantError == "" {
			s.t.Errorf("Key: %v, although Run is to succeed", err)
		}
		return err
	})
	s.noSecret("Key", key)
	return key, dir
}

// variants checks that the key changes with what the result depends on, and with nothing else.
func (s *scene) variants(key string) {
	s.t.Helper()
	if len(s.c.Variants) > 0 && key == "" {
		s.t.Errorf("Key: empty, expected one that changes with the variants of the case")
		return
	}
	base := s.c
	defer func() { s.c = base }()
	for _, v := range base.Variants {
		s.c = base.clone()
		v.Change(&s.c)
		changed, _ := s.key(Bind(s.t, s.plugin, s.c.Config))
		switch {
		case v.Same && changed != key:
			s.t.Errorf("variant %q: the key changed, although the result doesn't depend on it", v.Name)
		case !v.Same && changed == key:
			s.t.Errorf("variant %q: the key didn't change, although the result depends on it", v.Name)
		}
	}
}
