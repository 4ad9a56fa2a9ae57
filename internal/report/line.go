package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Schema names the form of the lines. It changes when a reader of the former one would be misled.
const Schema = "strake.dev/events/v1"

// StreamStarted is the type of the first line.
const StreamStarted = "stream-started"

// The types of lines that are among those of runs without being theirs, with strake run --watch.
const (
	// Watching tells what happens between the runs.
	Watching = "watch"
	// PodLog is a line that a pod of the app has logged; PortForwarded tells that a port of a pod can be
	// reached.
	PodLog        = "pod-log"
	PortForwarded = "port-forward"
)

// A Line is one line of a run's events in JSON. The first has a Head, the last, of the type
// [stages.RunFinished], has a Verdict.
type Line struct {
	stages.Event
	// Command is that of strake; the first and the last line have it.
	Command string `json:"command,omitempty"`
	*Head
	*Verdict
	// Watch is that of lines of the type watch, and Pod that of lines of pods.
	Watch *Watch `json:"watch,omitempty"`
	Pod   *Pod   `json:"pod,omitempty"`
}

// A Watch says what happens between the runs of strake run --watch.
type Watch struct {
	// State is waiting, for changes of Paths and References; changed, which begins another run; or stopped.
	State string `json:"state"`
	// Paths are the files and folders that are watched, or that have changed.
	Paths []string `json:"paths,omitempty"`
	// References are those that are asked for from time to time, and Steps those for which they have moved.
	References []string `json:"references,omitempty"`
	Steps      []string `json:"steps,omitempty"`
}

// The states of a Watch.
const (
	WatchWaiting = "waiting"
	WatchChanged = "changed"
	WatchStopped = "stopped"
)

// A Pod is whom a line is from; of a line of the type port-forward, it is whatever the port is one of, such as
// service/web.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Container string `json:"container,omitempty"`
	// Local is the address on this machine at which Port of the pod can be reached.
	Local string `json:"local,omitempty"`
	Port  int    `json:"port,omitempty"`
}

// A Head says what the lines after it are.
type Head struct {
	// Schema is the form of the lines: strake.dev/events/v1.
	Schema string `json:"schema"`
	// Strake is the version that wrote them.
	Strake string `json:"strake"`
	// Run is the ID of the run, by which strake report finds it; empty if it isn't kept.
	Run string `json:"run,omitempty"`
}

// A Verdict says how a run ended.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// ExitCode is that of the process.
	ExitCode int    `json:"exitCode"`
	Counts   Counts `json:"counts"`
	// Diagnostics are the problems of the file, when it is invalid.
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	// Result is the command's own, on standard output only; it may be missing when the command failed.
	Result any `json:"result,omitempty"`
}

// An Outcome says in a word how a run ended.
type Outcome string

// The outcomes of a run. Pending means that nothing failed, and that the command was asked to tell by its
// exit code that there are changes.
const (
	Succeeded   Outcome = "succeeded"
	Failed      Outcome = "failed"
	Interrupted Outcome = "interrupted"
	TimedOut    Outcome = "timed-out"
	Pending     Outcome = "pending"
	// Unfinished is that of kept events without a verdict: the process was killed, or is running still.
	Unfinished Outcome = "unfinished"
)

// A Diagnostic is one problem of a file.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Diagnostics are the problems of a file as lines have them.
func Diagnostics(found schema.Diagnostics) []Diagnostic {
	var all []Diagnostic
	for _, d := range found {
		all = append(all, Diagnostic{
			File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Column, Path: d.Path, Message: d.Msg, Hint: d.Hint,
		})
	}
	return all
}

// Read folds lines into a Run. A last line that isn't whole is left out: the process was killed while it
// wrote it.
func Read(r io.Reader) (*Run, error) {
	run := &Run{}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return run, nil
		case err != nil:
			return nil, err
		case len(bytes.TrimSpace(text)) == 0:
			continue
		}
		var line Line
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if line.Head != nil && line.Schema != Schema {
			return nil, stages.WithHint(fmt.Errorf("line %d: events of the form %q, expected %q", n, line.Schema, Schema), "use the strake that wrote them: %s", line.Strake)
		}
		run.Add(line)
	}
}
