package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

// An answer is what an executable has said to a request.
type answer struct {
	hello  protocol.PluginHello
	result protocol.Result
	images []stages.Image
	// session is still open: what the result names is in its folders.
	session *extension.Session
}

// maxEvents bounds the events of one call.
const maxEvents = 10_000

// ask starts the executable and has it answer a request. The caller must close the answer's session.
func (s *step) ask(ctx context.Context, job *stages.Job, op string) (_ *answer, err error) {
	call := &extension.Call{
		Ref: s.ref(), Config: &s.config.Config, Job: job, Env: []string{"STRAKE_PLUGIN_PROTOCOL=" + protocol.V1},
		Sources: s.stage != stages.Fetch && op != protocol.Check, Manifests: job.Manifests,
	}
	if s.stage == stages.Fetch && job.Out != nil {
		call.Out = job.Out.Dir()
	}
	session, err := s.host.Start(ctx, call)
	if err != nil {
		return nil, err
	}
	a := &answer{session: session}
	if err := s.talk(job, op, a); err != nil {
		// Why it was ended says more than what it didn't say therefore.
		if why := session.Why(); why != nil {
			err = why
		}
		return nil, errors.Join(s.wrap(err), session.Close())
	}
	return a, nil
}

// errOnlyHello says that all that was wanted is known with the hello.
var errOnlyHello = errors.New("only the hello was wanted")

func (s *step) talk(job *stages.Job, op string, a *answer) error {
	go greetBy(job, a.session)
	// The session bounds what it prints in all.
	lines := protocol.NewReader(a.session.Stdout, 1<<40)
	err := s.listen(job, op, a, lines)
	if errors.Is(err, errOnlyHello) {
		return nil
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = s.silent(a)
		}
		_ = a.session.Stdin.Close()
		return err
	}
	switch _, err := lines.Plugin(); {
	case err == nil:
		return fmt.Errorf("line %d: it sent more after its result", lines.Line)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("after its result: %w", err)
	}
	return a.session.End()
}

// greetBy says hello. What can't be sent has its cause in what comes back, or in the end of the executable.
func greetBy(job *stages.Job, session *extension.Session) {
	_ = protocol.Write(session.Stdin, protocol.HostMessage{Hello: &protocol.HostHello{Protocols: []string{protocol.V1}, Strake: job.Version}})
}

// request asks for an operation, and has nothing to say after it.
func (s *step) request(job *stages.Job, op string, session *extension.Session) {
	_ = protocol.Write(session.Stdin, protocol.HostMessage{Request: &protocol.Request{
		Op: op, Stage: string(s.stage), Step: job.Step, Config: s.with, Values: job.Values, Manifests: session.Manifests, Outputs: s.types(),
		App:   protocol.App{Name: job.App.Name, Namespace: job.App.Namespace, Labels: job.App.Labels, Annotations: job.App.Annotations},
		Areas: protocol.Areas{Sources: session.Sources, Read: s.config.Read, Out: session.Out, Temp: session.Temp},
	}})
	_ = session.Stdin.Close()
}

// silent says how a plugin ended that hasn't answered.
func (s *step) silent(a *answer) error {
	if err := a.session.End(); err != nil {
		return fmt.Errorf("ended without a result: %w", err)
	}
	return errors.New("ended without a result")
}

// listen reads the hello and everything up to the result.
func (s *step) listen(job *stages.Job, op string, a *answer, lines *protocol.Reader) error {
	m, err := lines.Plugin()
	if err != nil {
		return err
	}
	if m.Hello == nil {
		return fmt.Errorf("line %d: expected a hello first", lines.Line)
	}
	a.hello = *m.Hello
	if err := s.greet(&a.hello); err != nil {
		return err
	}
	s.mu.Lock()
	s.hello = &a.hello
	s.mu.Unlock()
	if op == protocol.Check && !slices.Contains(a.hello.Capabilities, op) {
		return errOnlyHello
	}
	go s.request(job, op, a.session)
	for events := 0; ; {
		m, err := lines.Plugin()
		switch {
		case err != nil:
			return err
		case m.Hello != nil:
			return fmt.Errorf("line %d: a second hello", lines.Line)
		case m.Error != nil:
			return hinted(m.Error)
		case m.Result != nil:
			a.result = *m.Result
			return nil
		}
		if events++; events > maxEvents {
			return fmt.Errorf("line %d: more than %d events", lines.Line, maxEvents)
		}
		e, err := event(m.Event)
		if err != nil {
			return fmt.Errorf("line %d: %w", lines.Line, err)
		}
		if e.Image != nil {
			a.images = append(a.images, *e.Image)
		}
		job.Events.Observe(e)
	}
}

// greet checks what a plugin says of itself.
func (s *step) greet(h *protocol.PluginHello) error {
	h.Name, h.Version = text(h.Name), text(h.Version)
	switch {
	case h.Protocol != protocol.V1:
		return stages.WithHint(fmt.Errorf("speaks the protocol %q, and this strake %s", text(h.Protocol), protocol.V1),
			"install a version of the plugin for this strake, or a strake for the plugin")
	case h.Name == "" || h.Version == "":
		return errors.New("its hello has no name or no version")
	case !slices.Contains(h.Stages, string(s.stage)):
		return fmt.Errorf("%s %s is no plugin for the %s stage, but for: %s", h.Name, h.Version, s.stage, text(strings.Join(h.Stages, ", ")))
	}
	return nil
}

// hinted is what a plugin has said went wrong.
func hinted(e *protocol.Error) error {
	err := errors.New(longText(e.Message))
	if e.Message == "" {
		err = errors.New("failed without saying why")
	}
	if e.Hint != "" {
		return stages.WithHint(err, "%s", longText(e.Hint))
	}
	return err
}

// The longest texts that are shown, in bytes.
const (
	maxText     = 1 << 10
	maxLongText = 16 << 10
)

// text is a text of a plugin as one harmless line.
func text(t string) string { return cut(render.Line(cut(t, maxText)), maxText) }

// longText is a text of a plugin that may have several lines.
func longText(t string) string { return render.Text(cut(t, maxLongText)) }

func cut(t string, most int) string {
	if len(t) <= most {
		return t
	}
	return strings.ToValidUTF8(t[:most], "") + "…"
}
