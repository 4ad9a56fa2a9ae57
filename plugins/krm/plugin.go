package krm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Plugin returns the template plugin “krm”.
func Plugin(host *extension.Host) stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Template,
		Name:    "krm",
		Doc:     "Passes the manifests through a KRM function that is an executable, if it is allowed, confined.",
		Version: version,
	}, func(c Config) (stages.Step, error) { return &step{host: host, config: c}, nil })
}

// version is that of the ResourceList that functions get.
const version = "config.kubernetes.io/v1"

type step struct {
	host   *extension.Host
	config Config
}

var (
	_ stages.Pinner  = (*step)(nil)
	_ stages.Checker = (*step)(nil)
	_ stages.Keyer   = (*step)(nil)
	_ stages.Watcher = (*step)(nil)
)

func (s *step) ref() extension.Ref {
	return extension.Ref{Plugin: s.config.Plugin, Path: s.config.Exec}
}

func (s *step) wrap(err error) error { return fmt.Errorf("function %s: %w", s.ref(), err) }

// Pins reads the executable.
func (s *step) Pins(_ context.Context, job *stages.Job) ([]schema.LockedPlugin, error) {
	return s.host.Pin(s.ref(), job)
}

// Check makes sure that the executable may be run.
func (s *step) Check(_ context.Context, job *stages.Job) error {
	return s.host.Allow(s.ref(), job.Dir)
}

// Watches are the executable's files. What it reads of the App's folder is watched by the steps that fetch it.
func (s *step) Watches(job *stages.Job) (stages.Watched, error) {
	return stages.Watched{Paths: s.ref().Files(job.Dir)}, nil
}

// Key counts the executable and what it gets. A function with the network may find something else each time.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	if s.config.Network {
		return "", nil
	}
	if err := s.host.Allow(s.ref(), job.Dir); err != nil {
		return "", err
	}
	pins, err := s.host.Pin(s.ref(), job)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %q\n", pins[0].Digest, job.Step)
	for _, name := range s.config.Env {
		fmt.Fprintf(sum, "%q=%q\n", name, os.Getenv(name))
	}
	paths := s.config.Read
	if s.config.ConfigPath != "" {
		paths = append([]string{s.config.ConfigPath}, paths...)
	}
	if len(paths) > 0 {
		digest, err := job.Sources.Digest(ctx, paths...)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, digest)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Run passes the manifests through the function.
func (s *step) Run(ctx context.Context, job *stages.Job) (_ stages.Result, err error) {
	in, err := s.resourceList(job)
	if err != nil {
		return stages.Result{}, err
	}
	session, err := s.host.Start(ctx, &extension.Call{
		Ref: s.ref(), Config: &s.config.Config, Job: job, Sources: len(s.config.Read) > 0,
	})
	if err != nil {
		return stages.Result{}, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	go func() {
		_, _ = session.Stdin.Write(in) // a function that doesn't read all may be right in that
		_ = session.Stdin.Close()
	}()
	out, readErr := io.ReadAll(session.Stdout)
	ended := session.End()
	if why := session.Why(); why != nil {
		return stages.Result{}, s.wrap(why)
	}
	manifests, err := s.read(out, job, ended)
	if err = errors.Join(err, readErr); err != nil {
		return stages.Result{}, s.wrap(err)
	}
	return stages.Result{Manifests: manifests}, nil
}
