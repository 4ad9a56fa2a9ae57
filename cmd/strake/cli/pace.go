package cli

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"strake.dev/strake/stages"
)

// A pace knows how far a run has come, and ends it when something that it has read already changes: at once,
// but not while a deploy step is changing the cluster. Then it ends as soon as that only waits, or is done.
type pace struct {
	cancel context.CancelCauseFunc

	mu sync.Mutex
	// whose are the steps that depend on a path; a path of no step is one that all depend on. It is nil until
	// the App's file has been read.
	whose map[string][]string
	// lock is the lock file, which the run itself writes.
	lock  string
	begun map[string]bool
	// applying are the deploy steps that are changing something.
	applying map[string]bool
	// superseded are the paths that have changed after they were read.
	superseded []string
}

// begin says which steps depend on what, and where the lock file is.
func (p *pace) begin(whose map[string][]string, lock string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whose, p.lock, p.begun, p.applying = whose, lock, map[string]bool{}, map[string]bool{}
}

// Observe takes in how far the run is.
func (p *pace) Observe(e stages.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Type == stages.StepStarted:
		p.begun[e.Step] = true
		p.applying[e.Step] = e.Stage == stages.Deploy
	case e.Type == stages.ChangeMade && e.Stage == stages.Deploy:
		p.applying[e.Step] = true
	case e.Type == stages.Waiting, e.Type == stages.StepFinished, e.Type == stages.StepSkipped:
		p.applying[e.Step] = false
		p.end()
	}
}

// changed takes changes of paths, with what they are called for people.
func (p *pace) changed(paths map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if p.read(path) && !slices.Contains(p.superseded, paths[path]) {
			p.superseded = append(p.superseded, paths[path])
		}
	}
	p.end()
}

// read tells whether the run has read a path.
func (p *pace) read(path string) bool {
	if path == p.lock {
		return false
	}
	for root, steps := range p.whose {
		if rest, below := strings.CutPrefix(path, root); !below || rest != "" && rest[0] != filepath.Separator {
			continue
		}
		if len(steps) == 0 || slices.ContainsFunc(steps, func(s string) bool { return p.begun[s] }) {
			return true
		}
	}
	return false
}

// end ends a run that is superseded, if it may be ended now.
func (p *pace) end() {
	if len(p.superseded) > 0 && !slices.Contains(slices.Collect(maps.Values(p.applying)), true) {
		p.cancel(&supersededError{p.superseded})
	}
}

// conclude returns how the run has ended: as superseded also if it has come to its end.
func (p *pace) conclude(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.superseded) > 0 {
		return &supersededError{p.superseded}
	}
	return err
}
