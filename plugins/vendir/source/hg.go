package source

import (
	"context"
	"errors"
	"fmt"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/hg"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type hgSource struct {
	Hg
	f *Fetcher
}

func (s *hgSource) Kind() string { return "hg" }

func (s *hgSource) Stale(l schema.LockedSource) string {
	switch {
	case !hg.IsSHA(l.Hg.SHA):
		return fmt.Sprintf("has no changeset in the lock file, but %q", l.Hg.SHA)
	case hg.IsSHA(s.Ref) && s.Ref != l.Hg.SHA:
		return fmt.Sprintf("is changeset %s, but the lock file has changeset %s", s.Ref, l.Hg.SHA)
	}
	return ""
}

func (s *hgSource) Check(ctx context.Context, job *stages.Job) error {
	repo, err := s.open(ctx, job)
	if err != nil {
		return err
	}
	return repo.Close()
}

// open prepares access to the repository. The caller must close it.
func (s *hgSource) open(ctx context.Context, job *stages.Job) (*hg.Repository, error) {
	if err := hg.CheckURL(s.URL); err != nil {
		return nil, fmt.Errorf("url: the address %w", err)
	}
	data, err := secret(ctx, job, s.SecretRef, keyPrivateKey, keyKnownHosts, keyUsername, keyPassword)
	if err != nil {
		return nil, err
	}
	repo, err := hg.Open(s.URL, git.Auth{
		Username: string(data[keyUsername]), Password: string(data[keyPassword]), PrivateKey: data[keyPrivateKey], KnownHosts: data[keyKnownHosts],
	}, s.Evolve, job.Temp)
	if err == nil {
		repo.Cache = s.f.deps.Cache
	}
	return repo, err
}

// resolve asks the repository what the reference is, once in a run.
func (s *hgSource) resolve(ctx context.Context, job *stages.Job, repo *hg.Repository) (string, error) {
	asked, err := question(ctx, job, s.SecretRef, "hg", s.URL, s.Ref)
	if err != nil {
		return "", err
	}
	return once(ctx, &s.f.memo, job.Began, asked, func() (string, error) { return repo.Resolve(ctx, s.Ref) })
}

// Key is the changeset, or empty where only the history tells what the reference means.
func (s *hgSource) Key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error) {
	if locked != nil {
		return locked.Hg.SHA, nil
	}
	repo, err := s.open(ctx, job)
	if err != nil {
		return "", err
	}
	defer repo.Close()
	sha, err := s.resolve(ctx, job, repo)
	if errors.Is(err, hg.ErrNoChangeset) {
		return "", nil
	}
	return sha, err
}

func (s *hgSource) Fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	var none schema.LockedSource
	repo, err := s.open(ctx, job)
	if err != nil {
		return none, err
	}
	defer repo.Close()
	if repo.TrustsUnknownHosts() {
		stages.Warn(job.Events, "the secret "+s.SecretRef.Name+" has no ssh-knownhosts: a server that is not known yet is trusted")
	}
	ref := s.Ref
	if locked != nil {
		ref = locked.Hg.SHA
	} else if sha, err := s.resolve(ctx, job, repo); err == nil {
		ref = sha
	} else if !errors.Is(err, hg.ErrNoChangeset) {
		return none, err
	}
	t := startTask(job.Events, "hg", redacted(s.URL))
	repo.Progress = t.detail
	info, err := repo.Checkout(ctx, a.path(), ref)
	t.end(err)
	switch {
	case errors.Is(err, hg.ErrNoChangeset) && locked != nil:
		return none, stale(job, fmt.Sprintf("is changeset %s in the lock file, which %s no longer has", locked.Hg.SHA, redacted(s.URL)))
	case errors.Is(err, hg.ErrNoChangeset):
		return none, stages.WithHint(fmt.Errorf("ref %s is not in %s", s.Ref, redacted(s.URL)), "expected a changeset, a branch, a tag or a bookmark")
	case err != nil:
		return none, err
	}
	if !s.f.deps.KeepGit {
		if err := a.tree.RemoveAll(".hg"); err != nil {
			return none, err
		}
	}
	a.Date = info.Time
	stages.Log(job.Events, fmt.Sprintf("%s: changeset %s", redacted(s.URL), info.SHA))
	if locked != nil {
		return *locked, nil
	}
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Hg: &vendirconf.LockDirectoryContentsHg{SHA: info.SHA, ChangeSetTitle: info.Title}}}, nil
}

func (s *hgSource) Origin(l schema.LockedSource) stages.Origin {
	return stages.Origin{Source: redacted(s.URL), Revision: l.Hg.SHA}
}
