package kbld

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	kbldbazel "carvel.dev/kbld/pkg/kbld/builder/bazel"
	"carvel.dev/kbld/pkg/kbld/builder/docker"
	"carvel.dev/kbld/pkg/kbld/builder/ko"
	kbldkubectl "carvel.dev/kbld/pkg/kbld/builder/kubectlbuildkit"
	kbldpack "carvel.dev/kbld/pkg/kbld/builder/pack"
	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	kbldlogger "carvel.dev/kbld/pkg/kbld/logger"
	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/stages"
)

// Some sources are built by another tool than BuildKit: kbld's own code runs it, and docker to push what
// it has made. That code knows no context, so it works in a process of its own, which is the head of a
// process group: ending the group ends the tool and all that it has started, whenever strake wants it
// or dies itself.

// toolOf names the tool that builds a source; it is empty for BuildKit.
func toolOf(c kbldconfig.Source) string {
	switch {
	case c.Pack != nil:
		return "pack"
	case c.Ko != nil && c.KubectlBuildkit == nil:
		return "ko"
	case c.Bazel != nil && c.KubectlBuildkit == nil:
		return "bazel"
	}
	return ""
}

// checkTool tells whether what builds a source is there.
func checkTool(s *source) error {
	if s.tool == "" {
		return nil
	}
	for _, program := range []string{s.tool, "docker"} {
		if _, err := exec.LookPath(program); err != nil {
			err := fmt.Errorf("source %s is built by %s and pushed by docker, and %s is not on PATH", s.config.Path, s.tool, program)
			return stages.WithHint(err, "install %s, or have BuildKit build a Dockerfile: “buildkit: {dockerfile: …}”", program)
		}
	}
	return nil
}

// byTool tells targets that a tool builds from those that BuildKit builds.
func byTool(all []*target) (buildkit, tool []*target) {
	for _, t := range all {
		if t.source.tool == "" {
			buildkit = append(buildkit, t)
		} else {
			tool = append(tool, t)
		}
	}
	return buildkit, tool
}

// useTools has tools build their targets. What goes into such an image nobody knows, so it is built each
// time, unless the lock is enforced.
func (r *run) useTools(ctx context.Context, targets []*target) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.deps.Builds)
	for _, t := range targets {
		g.Go(func() error {
			return named(t.ref, safely("building it", func() error { return r.useTool(ctx, t) }))
		})
	}
	return g.Wait()
}

func (r *run) useTool(ctx context.Context, t *target) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.job.Lock.Enforce {
		locked, err := name.NewDigest(t.locked.Image)
		if err != nil || locked.Context().Name() != t.repo.Name() {
			return stale(t.ref, "is pushed to %s, but the lock file has %s", t.repo.Name(), t.locked.Image)
		}
		t.digest, t.action, t.reason = locked.DigestStr(), actionLocked, "what "+t.source.tool+" builds from isn't compared"
		return nil
	}
	t.action, t.reason = actionBuilt, "built each time: what goes into it only "+t.source.tool+" knows"
	if !r.plan {
		if err := r.runTool(ctx, t); err != nil {
			return err
		}
	}
	into := t.repo.Name()
	if t.local != "" {
		into = t.local
	}
	r.change(stages.Change{Op: "build", Kind: "image", Name: into, Reason: t.reason})
	if t.local == "" {
		r.change(stages.Change{Op: "push", Kind: "image", Name: into, Reason: t.reason})
	}
	return nil
}

// A toolJob is what the process of a tool is told, on one line of its standard input.
type toolJob struct {
	URL         string                       `json:"url"`
	Source      kbldconfig.Source            `json:"source"`
	Destination *kbldconfig.ImageDestination `json:"destination,omitempty"`
}

// A toolResult is what it answers on its standard output.
type toolResult struct {
	URL   string `json:"url,omitempty"`
	Error string `json:"error,omitempty"`
}

const (
	// toolGrace is how long a tool may take to end when it is told to.
	toolGrace = 5 * time.Second
	// toolLines is how many of a tool's last lines are kept for the error when it fails.
	toolLines = 10
)

// runTool builds a target, and sets its digest, or its name at docker when it has no destination.
func (r *run) runTool(ctx context.Context, t *target) error {
	dir, err := r.job.Sources.Path(t.source.path)
	if err != nil {
		return err
	}
	job := toolJob{URL: t.url, Source: t.source.config}
	job.Source.Path = dir
	if t.destination.NewImage != "" {
		job.Destination = &t.destination
	}
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	cmd, err := r.deps.ToolCommand(ctx)
	if err != nil {
		return err
	}
	// It stays open: that it closes tells the process that nobody waits for it any more.
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	lines := &toolOutput{events: r.job.Events}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, lines, toolGrace+time.Second
	done := contain(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("running %s: %w", t.source.tool, err)
	}
	_, writeErr := in.Write(append(text, '\n'))
	err = errors.Join(cmd.Wait(), writeErr)
	done()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var result toolResult
	if jsonErr := json.Unmarshal(out.Bytes(), &result); err == nil {
		err = jsonErr
	}
	if result.Error != "" {
		err = errors.New(result.Error)
	}
	if err != nil {
		return lines.failure(t.source.tool, err)
	}
	if job.Destination == nil {
		t.local = result.URL
		return nil
	}
	digest, err := name.NewDigest(result.URL, name.WeakValidation)
	if err != nil {
		return fmt.Errorf("what was built by %s and pushed to %s has no digest: %q", t.source.tool, t.destination.NewImage, result.URL)
	}
	t.digest = digest.DigestStr()
	return nil
}

// ServeTool is what the process of a tool does: it reads what to build from in, prints what happens to
// log, and the result to out. When in ends, it ends the process and all that it has started.
func ServeTool(in io.Reader, out, log io.Writer) error {
	lines := bufio.NewReader(in)
	text, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no job: %w", err)
	}
	var job toolJob
	if err := json.Unmarshal(text, &job); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		endGroup()
	}()
	logger := kbldlogger.NewLogger(log)
	d := docker.New(logger)
	var result toolResult
	err = safely("building", func() error {
		result.URL, _, err = kbldimage.NewBuiltImage(job.URL, job.Source, job.Destination, d, docker.NewBuildx(d, logger),
			kbldpack.NewPack(d, logger), kbldkubectl.NewKubectlBuildkit(logger), ko.NewKo(logger), kbldbazel.NewBazel(d, logger)).URL()
		return err
	})
	if err != nil {
		result = toolResult{Error: err.Error()}
	}
	return json.NewEncoder(out).Encode(result)
}

// A toolOutput tells what a tool prints, and keeps the last lines.
type toolOutput struct {
	events stages.Observer
	rest   []byte
	last   []string
}

func (o *toolOutput) Write(p []byte) (int, error) {
	o.rest = append(o.rest, p...)
	for {
		line, rest, ok := bytes.Cut(o.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r"), "�")
		o.rest = bytes.Clone(rest)
		o.last = append(o.last[max(0, len(o.last)-toolLines+1):], text)
		stages.Log(o.events, text)
	}
}

func (o *toolOutput) failure(tool string, err error) error {
	text := fmt.Sprintf("build by %s failed: %v", tool, err)
	if len(o.last) > 0 {
		text += "\nlast lines:\n  " + strings.Join(o.last, "\n  ")
	}
	return errors.New(text)
}
