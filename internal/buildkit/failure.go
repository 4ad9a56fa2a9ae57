package buildkit

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/urlutil"
	"github.com/opencontainers/go-digest"

	"strake.dev/strake/stages"
)

// A StepError is a failed step of a Dockerfile.
type StepError struct {
	// Name names the build.
	Name string
	// File and Line tell where the step stands; Line is 0 when that isn't known.
	File string
	Line int
	// Step is the step as the Dockerfile has it.
	Step string
	// ExitCode is that of the step's command; 0 when the failure was another one.
	ExitCode int
	// Excerpt shows the lines of the Dockerfile around the step.
	Excerpt string
	// Log holds the last lines that the step has printed.
	Log []string
	// Err is what the daemon says.
	Err error
}

// Error says in its first line what failed where, and below it shows the Dockerfile and the step's
// last lines.
func (e *StepError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "build of %s failed at %s", e.Name, e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Step != "" {
		fmt.Fprintf(&b, ": %s", e.Step)
	}
	if e.ExitCode != 0 {
		fmt.Fprintf(&b, ": exit code %d", e.ExitCode)
	} else {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	if len(e.Log) > 0 {
		b.WriteString("\nlast lines of the step:")
		for _, line := range e.Log {
			b.WriteString("\n  " + line)
		}
	}
	return b.String()
}

func (e *StepError) Unwrap() error { return e.Err }

// failure makes of what the daemon answered an error that tells a user where to look.
func failure(err error, b *Build, out Output, s *steps) error {
	if err := unpinned(err, b, out); err != nil {
		return err
	}
	sources := errdefs.Sources(err)
	exit, hasExit := errors.AsType[*gatewaypb.ExitError](err)
	if len(sources) == 0 && !hasExit {
		return access(fmt.Errorf("build of %s: %w", out.Name, plain(err)), out)
	}
	e := &StepError{Name: out.Name, File: b.source.Dockerfile, Err: plain(err)}
	if hasExit {
		e.ExitCode = int(exit.ExitCode)
	}
	if len(sources) > 0 {
		e.locate(sources[len(sources)-1])
	}
	if vertex, ok := errors.AsType[*errdefs.VertexError](err); ok {
		st := s.of(digest.Digest(vertex.Digest))
		e.Log = st.last()
		if e.Step == "" {
			e.Step = st.name
		}
	}
	return access(e, out)
}

// denied matches how BuildKit says that a policy refuses a source.
var denied = regexp.MustCompile(`source "([^"]*)" denied by policy`)

// unpinned says of what a strict policy has refused that the lock file doesn't pin it; other errors give
// nil.
func unpinned(err error, b *Build, out Output) error {
	found := denied.FindStringSubmatch(err.Error())
	if !b.strict || found == nil {
		return nil
	}
	ref := urlutil.RedactCredentials(strings.TrimPrefix(found[1], "docker-image://"))
	return stages.WithHint(fmt.Errorf("build of %s: %s is not pinned in the lock file", out.Name, ref),
		"an image that the lock file has is built again only from what the file pins; “strake lock update” pins what can be asked for")
}

// locate fills in where the step stands in the Dockerfile.
func (e *StepError) locate(src *errdefs.Source) {
	if src.Info == nil || len(src.Ranges) == 0 {
		return
	}
	lines := strings.Split(string(src.Info.Data), "\n")
	first, last := int(src.Ranges[0].Start.Line), int(src.Ranges[0].Start.Line)
	for _, r := range src.Ranges {
		first, last = min(first, int(r.Start.Line)), max(last, int(r.Start.Line), int(r.End.Line))
	}
	if first < 1 || first > len(lines) {
		return
	}
	last = min(last, len(lines))
	e.Line = first
	e.Step = strings.TrimSpace(lines[first-1])
	const around = 2
	var b strings.Builder
	for n := max(1, first-around); n <= min(len(lines), last+around); n++ {
		if n == len(lines) && lines[n-1] == "" {
			break
		}
		mark := "   "
		if n >= first && n <= last {
			mark = ">>>"
		}
		fmt.Fprintf(&b, "  %4d | %s %s\n", n, mark, strings.TrimRight(lines[n-1], "\r"))
	}
	e.Excerpt = strings.TrimRight(b.String(), "\n")
}

// access adds what to do when a registry turned the daemon away.
func access(err error, out Output) error {
	text := err.Error()
	for _, sign := range []string{"401 Unauthorized", "403 Forbidden", "insufficient_scope", "authorization failed", "no basic auth credentials"} {
		if strings.Contains(text, sign) {
			return stages.WithHint(err, "%s", out.loginHint())
		}
	}
	return err
}

func (o Output) loginHint() string {
	push := ""
	if len(o.Push) > 0 {
		push = "to push to " + strings.Join(o.names(), ", ") + " and "
	}
	return "log in to the registry with a docker config or KBLD_REGISTRY_*, with the right " + push + "to pull the base images"
}
