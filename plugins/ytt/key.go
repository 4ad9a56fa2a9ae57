package ytt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/stages"
)

// Key is a digest of all files, inline files and values that the step reads, and of the values that
// are set.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	l := appvalues.NewLookup(job)
	sum := sha256.New()
	for _, p := range effectivePaths(&s.config, job) {
		if err := hashPath(ctx, sum, p, job); err != nil {
			return "", fmt.Errorf("paths: %w", err)
		}
	}
	inline, err := gatherInline(ctx, s.config.Inline, l)
	if err != nil {
		return "", err
	}
	if err := hashFiles(sum, "inline", inline); err != nil {
		return "", err
	}
	if err := l.WriteKey(ctx, sum, s.config.ValuesFrom); err != nil {
		return "", err
	}
	// A map prints with its keys sorted.
	fmt.Fprintf(sum, "set %q\n", job.Values)
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// hashPath adds a path of the App's folder; that of the manifests is in the engine's part of the key.
func hashPath(ctx context.Context, sum io.Writer, p string, job *stages.Job) error {
	if p == stdin {
		return nil
	}
	digest, err := job.Sources.Digest(ctx, p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(sum, "path %q %s\n", p, digest)
	return err
}

func hashFiles(sum io.Writer, what string, files []File) error {
	for _, f := range files {
		content, err := f.Read()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(sum, "%q %q %x\n", what, f.Rel, sha256.Sum256(content)); err != nil {
			return err
		}
	}
	return nil
}
