// Package plugintest tells whether an executable keeps the protocol of plugins, for “strake plugins test”.
package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

// A Subject is an executable and what it is asked to do.
type Subject struct {
	// Path is the executable.
	Path string
	// Stage is the one that it is asked for; empty is the first that it has.
	Stage string
	// With is its configuration, as JSON.
	With json.RawMessage
	// Manifests are those that it gets.
	Manifests []byte
	// Observer is told what it logs.
	Observer stages.Observer
}

// A Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	// Error says what was wrong; empty if nothing was.
	Error string `json:"error,omitempty"`
}

// Run makes all checks. It stops after the first if there is no hello.
func Run(ctx context.Context, s *Subject) []Check {
	t := &test{Subject: s, host: &extension.Host{Allowed: []string{s.Path}}}
	t.config.SetDefaults()
	t.config.Timeout = 30 * time.Second
	if !t.check("says hello, with name, version and stages", t.hello(ctx)) {
		return t.checks
	}
	t.check("refuses a protocol that it doesn't know", t.refuses(ctx, `{"hello":{"protocols":["strake.dev/plugin/v999"],"strake":"test"}}`))
	t.check("refuses a request that is no message", t.refuses(ctx, hostHello, "no message"))
	t.check("refuses an operation that it doesn't know", t.refuses(ctx, hostHello, t.request("melt")))
	first, err := t.run(ctx)
	t.check("answers a request by one result, and ends with exit code 0", err)
	if err == nil {
		second, err := t.run(ctx)
		if err == nil && !bytes.Equal(first, second) {
			err = errors.New("the same request has led to other manifests")
		}
		t.check("gives the same for the same request", err)
	}
	t.check("ends when it is asked to", t.cancel(ctx))
	return t.checks
}

const hostHello = `{"hello":{"protocols":["` + protocol.V1 + `"],"strake":"test"}}`

type test struct {
	*Subject
	host   *extension.Host
	config extension.Config
	said   protocol.PluginHello
	checks []Check
}

func (t *test) check(name string, err error) bool {
	c := Check{Name: name}
	if err != nil {
		c.Error = err.Error()
	}
	t.checks = append(t.checks, c)
	return err == nil
}

// start starts the executable with lines to read. The caller must close the session.
func (t *test) start(ctx context.Context, lines ...string) (*extension.Session, *protocol.Reader, error) {
	session, err := t.host.Start(ctx, &extension.Call{
		Ref: extension.Ref{Path: t.Path}, Config: &t.config, Env: []string{"STRAKE_PLUGIN_PROTOCOL=" + protocol.V1}, Manifests: t.Manifests,
		Job: &stages.Job{Hide: func([]byte) {}, Events: t.Observer},
	})
	if err != nil {
		return nil, nil, err
	}
	for _, line := range lines {
		if _, err := io.WriteString(session.Stdin, line+"\n"); err != nil {
			break // it has stopped reading, which may be right
		}
	}
	return session, protocol.NewReader(session.Stdout, protocol.MaxLine*16), nil
}

func (t *test) hello(ctx context.Context) error {
	session, lines, err := t.start(ctx, hostHello)
	if err != nil {
		return err
	}
	defer session.Close()
	m, err := lines.Plugin()
	switch {
	case err != nil:
		return err
	case m.Hello == nil:
		return errors.New("its first line is no hello")
	case m.Hello.Protocol != protocol.V1 || m.Hello.Name == "" || m.Hello.Version == "" || len(m.Hello.Stages) == 0:
		return fmt.Errorf("expected the protocol %s, a name, a version and stages, found %+v", protocol.V1, *m.Hello)
	}
	t.said = *m.Hello
	if t.Stage == "" {
		t.Stage = t.said.Stages[0]
	}
	return nil
}

// refuses expects an error, or an end with another exit code than 0.
func (t *test) refuses(ctx context.Context, input ...string) error {
	session, lines, err := t.start(ctx, input...)
	if err != nil {
		return err
	}
	defer session.Close()
	_ = session.Stdin.Close()
	for {
		m, err := lines.Plugin()
		switch {
		case errors.Is(err, io.EOF):
			if session.End() == nil {
				return errors.New("expected an error or another exit code than 0")
			}
			return nil
		case err != nil:
			return err
		case m.Error != nil:
			return nil
		case m.Result != nil:
			return errors.New("expected an error, found a result")
		}
	}
}

// request is a line that asks for an operation, with folders that are not there: those of a call are made later.
func (t *test) request(op string) string {
	line, _ := json.Marshal(protocol.HostMessage{Request: &protocol.Request{Op: op, Stage: t.Stage, Step: "test", Config: t.With}}) // it holds nothing that can't be printed
	return string(line)
}

// run has it do its work, and returns the manifests.
func (t *test) run(ctx context.Context) ([]byte, error) {
	session, lines, err := t.start(ctx, hostHello)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	// What can't be sent has its cause in what comes back, or in the end of the executable.
	_ = protocol.Write(session.Stdin, protocol.HostMessage{Request: &protocol.Request{
		Op: protocol.Run, Stage: t.Stage, Step: "test", Config: t.With, Manifests: session.Manifests,
		App: protocol.App{Name: "test", Namespace: "default"}, Areas: protocol.Areas{Out: session.Out, Temp: session.Temp},
	}})
	_ = session.Stdin.Close()
	var result *protocol.Result
	for {
		m, err := lines.Plugin()
		switch {
		case errors.Is(err, io.EOF) && result == nil:
			return nil, fmt.Errorf("ended without a result (%w)", errors.Join(err, session.End()))
		case errors.Is(err, io.EOF):
			if err := session.End(); err != nil || result.Manifests == "" {
				return nil, err
			}
			return os.ReadFile(filepath.Join(session.Out, filepath.Base(result.Manifests)))
		case err != nil:
			return nil, err
		case result != nil:
			return nil, errors.New("it sent more after its result")
		case m.Result != nil && !plain(m.Result.Outputs):
			return nil, fmt.Errorf("expected outputs that are texts, whole numbers or booleans, found %v", m.Result.Outputs)
		case m.Error != nil:
			return nil, m.Error
		}
		result = m.Result
	}
}

// plain tells whether outputs have types that a step can declare.
func plain(outputs map[string]any) bool {
	for _, value := range outputs {
		switch v := value.(type) {
		case string, bool:
		case float64:
			if v != math.Trunc(v) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// cancel ends it while it waits for its request.
func (t *test) cancel(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	session, lines, err := t.start(ctx, hostHello)
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := lines.Plugin(); err != nil {
		return err
	}
	_ = session.Stdin.Close()
	stop()
	began := time.Now()
	_ = session.End() // how doesn't matter, when does
	if took := time.Since(began); took > 5*time.Second {
		return fmt.Errorf("took %s", took.Round(time.Millisecond))
	}
	return nil
}
