// Package cosign is the verify plugin: it refuses sources and images that aren't signed by whom an App says,
// before they are used. Signatures are cosign's; cosign itself isn't needed.
package cosign

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	sigs "strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Deps are what the plugin needs from the program.
type Deps struct{ Registry *registry.Client }

// Plugin returns the plugin that entries “verify: [{cosign: …}]” name.
func Plugin(deps Deps) stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Verify,
		Name:    "cosign",
		Doc:     "Refuses sources and images that aren't signed by the right keys, as cosign signs.",
		Version: "1",
	}, func(c Config) (stages.Step, error) { return &step{config: c, registry: deps.Registry}, nil })
}

type step struct {
	config   Config
	registry *registry.Client
}

var (
	_ stages.Step          = (*step)(nil)
	_ stages.Checker       = (*step)(nil)
	_ stages.ImageVerifier = (*step)(nil)
	_ stages.Watcher       = (*step)(nil)
)

// VerifiesImages tells whether it is about the images of the manifests.
func (s *step) VerifiesImages() bool { return s.config.Images }

// Check makes sure that the keys are there.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	_, err := s.verifier(ctx, job)
	return err
}

// Watches tells which files the keys or the policy are in.
func (s *step) Watches(job *stages.Job) (stages.Watched, error) {
	files := []string{s.config.PolicyFile}
	for _, ref := range s.config.refs() {
		files = append(files, ref.File)
	}
	var watched stages.Watched
	for _, file := range files {
		if file == "" {
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(job.Dir, file)
		}
		path, err := filepath.Abs(file)
		if err != nil {
			return watched, err
		}
		watched.Paths = append(watched.Paths, path)
	}
	return watched, nil
}

// Run verifies everything that it is about, and returns all that is to be refused. It has no key, so that it is
// done each time.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	verify, err := s.verifier(ctx, job)
	if err != nil {
		return stages.Result{}, err
	}
	find := s.sources
	if s.config.Images {
		find = images
	}
	subjects, err := find(job)
	if err != nil {
		return stages.Result{}, err
	}
	return stages.Result{}, verifyAll(ctx, job, subjects, verify)
}

type verifier func(ctx context.Context, digest name.Digest) (*sigs.Verified, error)

// verifier reads the keys or the policy.
func (s *step) verifier(ctx context.Context, job *stages.Job) (verifier, error) {
	if file := s.config.PolicyFile; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(job.Dir, file)
		}
		policy, err := sigs.LoadPolicy(ctx, file, job.Objects.Secret)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, digest name.Digest) (*sigs.Verified, error) {
			return policy.Verify(ctx, s.registry, digest)
		}, nil
	}
	keys, err := sigs.Keys(ctx, job.Dir, job.Objects.Secret, s.config.refs()...)
	if err != nil {
		return nil, err
	}
	requirement := sigs.Requirement{Keys: keys, AtLeast: s.config.AtLeast}
	return func(ctx context.Context, digest name.Digest) (*sigs.Verified, error) {
		return sigs.Verify(ctx, s.registry, digest, requirement)
	}, nil
}

// A subject is something to verify; what names it in messages.
type subject struct {
	what   string
	digest name.Digest
}

// atOnce is how many digests are verified at the same time.
const atOnce = 8

func verifyAll(ctx context.Context, job *stages.Job, subjects []subject, verify verifier) error {
	errs := make([]error, len(subjects))
	told := make([]string, len(subjects))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, s := range subjects {
		group.Go(func() error {
			v, err := verify(ctx, s.digest)
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.what, err)
				return nil
			}
			told[i] = describe(s, v)
			return nil
		})
	}
	_ = group.Wait() // errs holds what went wrong
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, line := range told {
		if line != "" {
			stages.Log(job.Events, line)
		}
	}
	return errors.Join(errs...)
}

func describe(s subject, v *sigs.Verified) string {
	if len(v.Signers) == 0 {
		return fmt.Sprintf("%s: %s need not be signed", s.what, s.digest)
	}
	var names []string
	for _, signer := range v.Signers {
		names = append(names, signer.Name)
	}
	return fmt.Sprintf("%s: %s is signed by %s", s.what, s.digest, strings.Join(names, ", "))
}

// sources are what the fetched folders have resolved to.
func (s *step) sources(job *stages.Job) ([]subject, error) {
	var subjects []subject
	var found []error
	for _, path := range s.config.Paths {
		clean, err := stages.Clean(path)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(job.Fetched, func(l schema.LockedSource) bool { return l.Path == clean })
		if i < 0 {
			var paths []string
			for _, l := range job.Fetched {
				paths = append(paths, l.Path)
			}
			found = append(found, stages.WithHint(fmt.Errorf("paths: %s: no source was fetched to it", path), "sources were fetched to: %s", strings.Join(paths, ", ")))
			continue
		}
		ref := ""
		switch source := job.Fetched[i]; {
		case source.Image != nil:
			ref = source.Image.URL
		case source.ImgpkgBundle != nil:
			ref = source.ImgpkgBundle.Image
		default:
			found = append(found, stages.WithHint(fmt.Errorf("paths: %s: its source can't be verified: it has no signature", path), "image and imgpkgBundle sources can be signed; git, http, helmChart, inline and directory can't"))
			continue
		}
		digest, err := name.NewDigest(ref)
		if err != nil {
			found = append(found, fmt.Errorf("paths: %s: %w", path, err))
			continue
		}
		subjects = append(subjects, subject{"source " + path, digest})
	}
	return subjects, errors.Join(found...)
}
