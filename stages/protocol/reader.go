package protocol

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line that either side may send, in bytes. Manifests are in files.
const MaxLine = 1 << 20

// A Reader reads the lines of the other side. It doesn't trust them.
type Reader struct {
	lines *bufio.Reader
	// bounded is what is left of the total that may be read.
	bounded *io.LimitedReader
	// Line counts the lines read, from 1.
	Line int
}

// NewReader returns a reader that takes no more than total bytes.
func NewReader(r io.Reader, total int64) *Reader {
	bounded := &io.LimitedReader{R: r, N: total + 1}
	return &Reader{lines: bufio.NewReaderSize(bounded, MaxLine+1), bounded: bounded}
}

// ErrTooMuch says that more came than may.
var ErrTooMuch = errors.New("it sent more than it may")

// next returns the next line that isn't empty, without its end. The error is io.EOF after the last one.
func (r *Reader) next() ([]byte, error) {
	for {
		line, err := r.lines.ReadSlice('\n')
		switch {
		case r.bounded.N <= 0:
			return nil, ErrTooMuch
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("line %d is longer than %d bytes", r.Line+1, MaxLine)
		case len(line) == 0 && err != nil:
			return nil, err
		}
		r.Line++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// excerpt is as much of a line as belongs into a message.
func excerpt(line []byte) string {
	const most = 80
	if len(line) > most {
		return fmt.Sprintf("%q…", line[:most])
	}
	return fmt.Sprintf("%q", line)
}

// Plugin reads a line of a plugin. The error is io.EOF after the last one.
func (r *Reader) Plugin() (PluginMessage, error) {
	var m PluginMessage
	line, err := r.next()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("line %d is not a message (%w): %s", r.Line, err, excerpt(line))
	}
	set := 0
	for _, is := range []bool{m.Hello != nil, m.Event != nil, m.Result != nil, m.Error != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return m, fmt.Errorf("line %d: expected one of hello, event, result and error, found %d: %s", r.Line, set, excerpt(line))
	}
	return m, nil
}

// Host reads a line of strake. The error is io.EOF after the last one.
func (r *Reader) Host() (HostMessage, error) {
	var m HostMessage
	line, err := r.next()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("line %d is not a message (%w): %s", r.Line, err, excerpt(line))
	}
	if (m.Hello == nil) == (m.Request == nil) {
		return m, fmt.Errorf("line %d: expected either hello or request: %s", r.Line, excerpt(line))
	}
	return m, nil
}

// Write sends one message as a line, by one call of Write.
func Write(w io.Writer, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(line) > MaxLine {
		return fmt.Errorf("the message has %d bytes, expected at most %d", len(line), MaxLine)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
