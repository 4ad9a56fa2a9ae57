package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"strake.dev/strake/internal/child"
	"strake.dev/strake/stages"
)

const (
	// maxOutput is the size in bytes of what git may answer; a repository with 500,000 references
	// stays below it.
	maxOutput = 64 << 20
	// maxErrors is the size in bytes of what is kept of git's messages.
	maxErrors = 8 << 10
)

// A call is one run of git.
type call struct {
	dir   string
	env   []string
	stdin string
	args  []string
}

// run runs git in dir and returns its standard output.
func (r *Repository) run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	return r.do(ctx, call{dir: dir, env: env, args: args})
}

// do runs git and returns its standard output. The error holds git's own last words.
func (r *Repository) do(ctx context.Context, c call) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if c.dir == "" {
		c.dir = r.temp
	}
	var out capped
	messages := &messages{progress: r.Progress}
	cmd := child.Command(ctx, "git", c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(append(cmd.Env, r.env...), "GIT_ALLOW_PROTOCOL="+strings.Join(r.transports(), ":"), "GIT_CEILING_DIRECTORIES="+c.dir)
	cmd.Env = append(cmd.Env, c.env...)
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	cmd.Stdout, cmd.Stderr = &out, messages
	err := child.Run(cmd)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("git %s %s: %w", c.args[0], Redacted(r.url), ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return "", stages.WithHint(errors.New("git is not installed: not found on PATH"), "install git, which git sources are fetched with")
	case err != nil:
		return "", r.failure(c.args[0], messages.text(), err)
	case out.full:
		return "", fmt.Errorf("git %s %s: answered more than %d bytes", c.args[0], Redacted(r.url), maxOutput)
	}
	return out.String(), nil
}

// failure is the error of a git that failed, with advice where its words tell what is wrong.
func (r *Repository) failure(command, said string, err error) error {
	said = strings.ReplaceAll(r.secrets.Replace(said), r.url, Redacted(r.url))
	if said == "" {
		said = err.Error()
	}
	failed := fmt.Errorf("git %s %s: %s", command, Redacted(r.url), said)
	for _, a := range advice {
		if strings.Contains(said, a.sign) {
			return stages.WithHint(failed, "%s", a.hint)
		}
	}
	return failed
}

// advice is what to do about words of git's.
var advice = []struct{ sign, hint string }{
	{"Authentication failed", "the username and password were refused: correct the secret"},
	{"terminal prompts disabled", "the repository wants to know who asks: give a secretRef with username and password"},
	{"Permission denied (publickey", "the server refused the ssh key: give a secretRef with ssh-privatekey"},
	{"Host key verification failed", "the server's key is not among the known ones: correct ssh-knownhosts in the secret"},
	{"returned error: 301", "the server redirects: correct the url"},
	{"returned error: 302", "the server redirects: correct the url"},
	{"Could not resolve host", "check the host in the url, and the network"},
	{"transport 'file' not allowed", "a submodule can't be a repository of this machine"},
	{"does not appear to be a git repository", "check the path in the url"},
	{"' not found", "check the url; a private repository also needs a secretRef"},
	{"epository not found", "check the url; a private repository also needs a secretRef"},
	{"git-lfs: not found", "install git-lfs, or set lfsSkipSmudge"},
	{"git-lfs: command not found", "install git-lfs, or set lfsSkipSmudge"},
	{"'lfs' is not a git command", "install git-lfs, or set lfsSkipSmudge"},
	{"SSL certificate problem", "the server's certificate is not trusted: name its authority in GIT_SSL_CAINFO"},
	{"server certificate verification failed", "the server's certificate is not trusted: name its authority in GIT_SSL_CAINFO"},
	{"detected dubious ownership", "the repository's folder belongs to another user: see safe.directory in git help config"},
}

// capped keeps the first bytes of what is written to it.
type capped struct {
	bytes.Buffer
	full bool
}

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > maxOutput {
		c.full = true
		return len(p), nil
	}
	return c.Buffer.Write(p)
}

// messages reads what git says: progress goes on, the rest is kept for an error.
type messages struct {
	progress func(string)
	line     []byte
	kept     []string
	size     int
}

func (m *messages) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n' || b == '\r':
			m.end(b == '\r')
		case len(m.line) < maxErrors:
			m.line = append(m.line, b)
		}
	}
	return len(p), nil
}

func (m *messages) end(transient bool) {
	line := strings.TrimSpace(string(m.line))
	m.line = m.line[:0]
	if line == "" {
		return
	}
	// git ends all lines of progress but the last one of each phase by a carriage return.
	if transient || strings.HasSuffix(line, ", done.") || strings.Contains(line, "% (") {
		if m.progress != nil {
			m.progress(line)
		}
		return
	}
	m.kept = append(m.kept, line)
	m.size += len(line)
	for m.size > maxErrors {
		m.size -= len(m.kept[0])
		m.kept = m.kept[1:]
	}
}

// text is what was kept, in one line.
func (m *messages) text() string {
	m.end(false)
	var lines []string
	for _, l := range m.kept {
		if !strings.HasPrefix(l, "hint:") && !strings.HasPrefix(l, "From ") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "; ")
}
