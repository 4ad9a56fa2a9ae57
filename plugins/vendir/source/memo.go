package source

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A memo holds what remotes have answered in one run, so that each is asked once however many sources want
// the same. Answers of an earlier run are forgotten: what a reference means may have changed.
type memo struct {
	mu      sync.Mutex
	run     time.Time
	answers map[string]*answer
}

type answer struct {
	done  chan struct{}
	value any
	err   error
}

// once returns what ask has answered to a question in the run that began at a time. Without such a time it
// asks each time. An error is not remembered: whoever comes next asks again.
func once[T any](ctx context.Context, m *memo, run time.Time, asked string, ask func() (T, error)) (T, error) {
	if run.IsZero() {
		return ask()
	}
	for {
		a, mine := m.entry(run, asked)
		if mine {
			a.value, a.err = ask()
			if a.err != nil {
				m.forget(asked, a)
			}
			close(a.done)
			value, _ := a.value.(T)
			return value, a.err
		}
		select {
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		case <-a.done:
		}
		if value, ok := a.value.(T); ok && a.err == nil {
			return value, nil
		}
	}
}

// question names something that remotes are asked for with what a Secret holds, or with nothing. Two
// vendir configurations of one App may give different Secrets the same name.
func question(ctx context.Context, job *stages.Job, ref *schema.LocalRef, parts ...string) (string, error) {
	if ref == nil {
		return strings.Join(parts, "\x00"), nil
	}
	data, err := job.Objects.Secret(ctx, ref.Name)
	if err != nil {
		return "", missing("secretRef", "Secret", ref.Name, err)
	}
	// Maps are written in the order of their keys.
	held, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	return strings.Join(append(parts, fmt.Sprintf("%x", sha256.Sum256(held))), "\x00"), nil
}

// trust is a part of a question: an answer of a server that nobody has verified is for those only who want it so.
func trust(skipVerify bool) string {
	if skipVerify {
		return "unverified"
	}
	return "verified"
}

// known returns what was answered to a question in a run, if it was.
func known[T any](m *memo, run time.Time, question string) (T, bool) {
	var none T
	m.mu.Lock()
	a, ok := m.answers[question]
	ok = ok && m.run.Equal(run) && !run.IsZero()
	m.mu.Unlock()
	if !ok {
		return none, false
	}
	select {
	case <-a.done:
		value, is := a.value.(T)
		return value, is && a.err == nil
	default:
		return none, false
	}
}

func (m *memo) entry(run time.Time, question string) (*answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.run.Equal(run) {
		m.run, m.answers = run, map[string]*answer{}
	}
	if a, ok := m.answers[question]; ok {
		return a, false
	}
	a := &answer{done: make(chan struct{})}
	m.answers[question] = a
	return a, true
}

func (m *memo) forget(question string, a *answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers[question] == a {
		delete(m.answers, question)
	}
}
