package buildkit

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"

	"strake.dev/strake/stages"
)

// hidden keeps secrets out of events and errors. It is safe for concurrent use.
type hidden struct {
	mu     sync.RWMutex
	values []string
}

const (
	// minHidden is the length of the shortest secret: shorter ones would be found in any text.
	minHidden = 4
	// minLine is the length of the shortest line of a longer secret that counts as one.
	minLine = 12
	instead = "***"
)

func (h *hidden) add(value []byte) {
	text := strings.TrimSpace(string(value))
	if len(text) < minHidden {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.values = append(h.values, text)
	// A file may be printed line by line.
	if lines := strings.Split(text, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= minLine {
				h.values = append(h.values, line)
			}
		}
	}
	// The longest first, so that a secret that contains another one leaves no rest.
	slices.SortFunc(h.values, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	h.values = slices.Compact(h.values)
}

// addPassword adds the password of a URL.
func (h *hidden) addPassword(text string) {
	if u, err := url.Parse(text); err == nil {
		password, _ := u.User.Password()
		h.add([]byte(password))
	}
}

func (h *hidden) text(text string) string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, value := range h.values {
		text = strings.ReplaceAll(text, value, instead)
	}
	return text
}

// error returns err without the secrets, with its hint and as a [StepError] if it is one.
func (h *hidden) error(err error) error {
	if err == nil || h.text(err.Error()) == err.Error() {
		return err
	}
	hint := h.text(stages.Hint(err))
	clean := errors.New(h.text(err.Error()))
	if step, ok := errors.AsType[*StepError](err); ok {
		s := *step
		s.Step, s.Excerpt, s.Err = h.text(s.Step), h.text(s.Excerpt), errors.New(h.text(s.Err.Error()))
		s.Log = slices.Clone(s.Log)
		for i := range s.Log {
			s.Log[i] = h.text(s.Log[i])
		}
		clean = &s
	}
	if hint == "" {
		return clean
	}
	return stages.WithHint(clean, "%s", hint)
}

// observer tells events on without the secrets.
func (h *hidden) observer(events stages.Observer) stages.Observer { return hiding{h, events} }

type hiding struct {
	*hidden
	events stages.Observer
}

// Observe implements [stages.Observer].
func (h hiding) Observe(e stages.Event) {
	e.Message = h.text(e.Message)
	if e.Task != nil {
		t := *e.Task
		t.ID, t.Name, t.Detail = h.text(t.ID), h.text(t.Name), h.text(t.Detail)
		e.Task = &t
	}
	h.events.Observe(e)
}
