package render

import (
	"encoding/json"
	"io"
	"sync"

	"strake.dev/strake/stages"
)

// JSON prints one JSON object a line.
type JSON struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error
}

// NewJSON returns an observer that writes every event to w as one line of JSON.
func NewJSON(w io.Writer) *JSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // the reader is no browser
	return &JSON{enc: enc}
}

// Observe writes the event.
func (j *JSON) Observe(e stages.Event) { j.Write(e) }

// Write writes any value as a line among the events.
func (j *JSON) Write(v any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = j.enc.Encode(v)
	}
}

// Err returns what went wrong with writing; after an error nothing more was written.
func (j *JSON) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Close does nothing: there is nothing to clear away.
func (j *JSON) Close() {}
