package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"strake.dev/strake/stages/protocol"
)

// A Request is what a plugin is asked for, and how it tells what happens meanwhile. It may be used by several
// goroutines.
type Request struct {
	protocol.Request

	mu  *sync.Mutex
	out func(protocol.PluginMessage) error
}

// Decode reads the configuration into a struct, whose fields have json tags. An unknown field is an error.
func (r *Request) Decode(config any) error {
	if len(r.Config) == 0 || bytes.Equal(r.Config, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(r.Config))
	d.DisallowUnknownFields()
	if err := d.Decode(config); err != nil {
		return fmt.Errorf("with: %w", err)
	}
	return nil
}

// ReadManifests returns the manifests so far, a YAML stream; nil if there are none.
func (r *Request) ReadManifests() ([]byte, error) {
	if r.Manifests == "" {
		return nil, nil
	}
	return os.ReadFile(r.Manifests)
}

// WriteManifests returns the result that makes these the manifests from now on.
func (r *Request) WriteManifests(manifests []byte) (Result, error) {
	const name = "manifests.yaml"
	err := os.WriteFile(filepath.Join(r.Areas.Out, name), manifests, 0o600)
	return Result{Manifests: name}, err
}

// Log tells a line for people.
func (r *Request) Log(format string, args ...any) {
	r.Tell(protocol.Event{Type: protocol.Log, Message: fmt.Sprintf(format, args...)})
}

// Warn tells of something that is not an error and wants attention.
func (r *Request) Warn(format string, args ...any) {
	r.Tell(protocol.Event{Type: protocol.Warning, Message: fmt.Sprintf(format, args...)})
}

// Tell tells of an event. One that can't be told is dropped: strake then is no longer there, and its end ends
// the plugin.
func (r *Request) Tell(e protocol.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out(protocol.PluginMessage{Event: &e})
}

// WithHint adds advice to an error, which is shown below its message.
func WithHint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }

func (e *hinted) Unwrap() error { return e.err }

func hintOf(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}
