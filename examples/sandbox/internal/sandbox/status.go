package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"strake.dev/strake/examples/sandbox/internal/instance"
)

// A ComponentStatus tells whether a component runs.
type ComponentStatus struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	PID     int    `json:"pid,omitempty"`
	Log     string `json:"log"`
}

// Status is what is known of an instance without asking its components.
type Status struct {
	Name       string            `json:"name"`
	Dir        string            `json:"dir"`
	Node       string            `json:"node"`
	Running    bool              `json:"running"` // all components run
	Components []ComponentStatus `json:"components"`
}

// ErrNotCreated says that an instance was never brought up.
var ErrNotCreated = errors.New("instance does not exist")

// load reads the state of an instance that must exist.
func (s *Sandbox) load() (*instance.State, error) {
	state, err := s.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no %q in %s; run up first", ErrNotCreated, s.Name, filepath.Dir(s.Dir))
	}
	return state, err
}

// Status tells which components run.
func (s *Sandbox) Status() (*Status, error) {
	state, err := s.load()
	if err != nil {
		return nil, err
	}
	l := s.layout(state)
	status := &Status{Name: s.Name, Dir: s.Dir, Node: state.Node, Running: true}
	for _, name := range components(state.Node) {
		record, _, err := s.recorded(name).Load()
		if err != nil {
			return nil, err
		}
		c := ComponentStatus{Name: name, Running: record.Alive(), Log: l.Log(name)}
		if c.Running {
			c.PID = record.PID
		}
		status.Running = status.Running && c.Running
		status.Components = append(status.Components, c)
	}
	return status, nil
}

// A Variable is one of the environment that leads programs to the instance.
type Variable struct{ Name, Value string }

// Env returns the variables that lead programs to the instance.
func (s *Sandbox) Env() ([]Variable, error) {
	state, err := s.load()
	if err != nil {
		return nil, err
	}
	l := s.layout(state)
	env := []Variable{
		{"KUBECONFIG", l.Kubeconfig("admin")},
		{"STRAKE_SANDBOX_REGISTRY", l.Registry()},
		{"STRAKE_REGISTRY_MIRRORS", "docker.io=" + l.Registry()},
		{"STRAKE_SANDBOX_NAME", s.Name},
		{"STRAKE_SANDBOX_NODE", state.Node},
		{"STRAKE_SANDBOX_BIN", s.Path("bin")},
		{"STRAKE_SANDBOX_AUDIT_LOG", l.AuditLog()},
	}
	if slices.Contains(components(state.Node), "buildkitd") {
		env = append(
			env,
			Variable{"BUILDKIT_HOST", "unix://" + l.BuildKitSocket()},
			Variable{"STRAKE_SANDBOX_BUILDKIT_LOG", l.Log("buildkitd")},
		)
		if program, err := s.buildkitd(); err == nil {
			env = append(env, Variable{"STRAKE_SANDBOX_BUILDKITD", program})
		}
	}
	if l.Real {
		env = append(
			env,
			Variable{"STRAKE_SANDBOX_POD_REGISTRY", l.PodRegistry()},
			Variable{"STRAKE_SANDBOX_HOSTPORT_REGISTRY", l.HostPortRegistry()},
		)
	}
	slices.SortFunc(env, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return env, nil
}

// buildkitd finds the daemon's program, which was built into one folder with buildctl.
func (s *Sandbox) buildkitd() (string, error) {
	buildctl, err := os.Readlink(s.Path("bin", "buildctl"))
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(buildctl), "buildkitd")
	_, err = os.Stat(program)
	return program, err
}

// LogFiles returns the path of each component's log, the audit log among them, that is there.
func (s *Sandbox) LogFiles() (map[string]string, error) {
	state, err := s.load()
	if err != nil {
		return nil, err
	}
	l := s.layout(state)
	files := map[string]string{"audit": l.AuditLog()}
	for _, name := range components(state.Node) {
		files[name] = l.Log(name)
	}
	for name, path := range files {
		if _, err := os.Stat(path); err != nil {
			delete(files, name)
		}
	}
	return files, nil
}
