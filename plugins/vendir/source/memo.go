package source

import (
	"context"
	"strings"
	"sync"
	"time"

	"strake.dev/strake/schema"
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

// question names something that remotes are asked for with the credentials of a Secret, or with none.
func question(ref *schema.LocalRef, parts ...string) string {
	secret := ""
	if ref != nil {
		secret = ref.Name
	}
	return strings.Join(append(parts, secret), "\x00")
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
