package buildkit

import (
	"errors"
	"net/url"
	"slices"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/redact"
)

// hidden keeps secrets out of events and errors. It is safe for concurrent use.
type hidden struct{ redact.Set }

// hide is Add for those who don't care whether a secret was known.
func (h *hidden) hide(value []byte) { h.Add(value) }

// addPassword adds the password of a URL.
func (h *hidden) addPassword(text string) {
	if u, err := url.Parse(text); err == nil {
		password, _ := u.User.Password()
		h.Add([]byte(password))
	}
}

// error returns err without the secrets, with its hint and as a [StepError] if it is one.
func (h *hidden) error(err error) error {
	if err == nil || h.CleanMessage(err.Error()) == err.Error() {
		return err
	}
	hint := h.CleanMessage(stages.Hint(err))
	clean := errors.New(h.CleanMessage(err.Error()))
	if step, ok := errors.AsType[*StepError](err); ok {
		s := *step
		s.Step, s.Excerpt, s.Err = h.Clean(s.Step), h.Clean(s.Excerpt), errors.New(h.Clean(s.Err.Error()))
		s.Log = slices.Clone(s.Log)
		for i := range s.Log {
			s.Log[i] = h.CleanLog(s.Log[i])
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
	e.Message = h.CleanLog(e.Message)
	if e.Task != nil {
		t := *e.Task
		t.ID, t.Name, t.Detail = h.Clean(t.ID), h.Clean(t.Name), h.Clean(t.Detail)
		e.Task = &t
	}
	h.events.Observe(e)
}
