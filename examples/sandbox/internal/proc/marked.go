package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A Found is a process that carries a marker.
type Found struct {
	Record
	Marker string
	Exe    string // path of its program; empty if unknown
}

// Marked returns the processes in whose environment, as it was when they were started, a variable
// begins with prefix. It finds daemons whose record was lost, and the children that daemons left.
func Marked(prefix string) ([]Found, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []Found
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// The record is taken first: if the process is replaced meanwhile, the record is a dead one's.
		record, err := Identify(pid)
		if err != nil {
			continue
		}
		if marker := markerOf(pid, prefix); marker != "" {
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			found = append(found, Found{Record: record, Marker: marker, Exe: strings.TrimSuffix(exe, " (deleted)")})
		}
	}
	return found, nil
}

// markerOf returns the variable of a process that begins with prefix. The environment of another
// user's process, or of one that has just ended, can't be read and has none.
func markerOf(pid int, prefix string) string {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.HasPrefix(variable, []byte(prefix)) {
			return string(variable)
		}
	}
	return ""
}
