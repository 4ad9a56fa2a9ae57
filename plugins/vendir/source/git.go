package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type gitSource struct {
	Git
	f *Fetcher
	// root is the folder that is taken, or empty for all.
	root string
}

func (s *gitSource) Kind() string { return "git" }

func (s *gitSource) Stale(l schema.LockedSource) string {
	switch {
	case !git.IsSHA(l.Git.SHA):
		return fmt.Sprintf("has no commit in the lock file, but %q", l.Git.SHA)
	case git.IsSHA(s.Ref) && s.Ref != l.Git.SHA:
		return fmt.Sprintf("is commit %s, but the lock file has commit %s", s.Ref, l.Git.SHA)
	}
	return ""
}

func (s *gitSource) Check(ctx context.Context, job *stages.Job) error {
	if _, err := exec.LookPath("git"); err != nil {
		return stages.WithHint(errors.New("git is not installed: not found on PATH"), "install git, which git sources are fetched with")
	}
	repo, err := s.open(ctx, job)
	if err != nil {
		return err
	}
	return repo.Close()
}

// address is the repository's; a relative path counts from the App's file.
func (s *gitSource) address(job *stages.Job) string {
	if isRelative(s.URL) {
		return filepath.Join(job.Dir, filepath.FromSlash(s.URL))
	}
	return s.URL
}

// open prepares access to the repository. The caller must close it.
func (s *gitSource) open(ctx context.Context, job *stages.Job) (*git.Repository, error) {
	data, err := secret(ctx, job, s.SecretRef, keyPrivateKey, keyKnownHosts, keyUsername, keyPassword)
	if err != nil {
		return nil, err
	}
	address := s.address(job)
	if err := git.CheckURL(address); err != nil {
		return nil, fmt.Errorf("url: the address %w", err)
	}
	repo, err := git.Open(address, git.Auth{
		Username: string(data[keyUsername]), Password: string(data[keyPassword]), ForceBasic: s.ForceHTTPBasicAuth,
		PrivateKey: data[keyPrivateKey], KnownHosts: data[keyKnownHosts], SkipTLSVerify: s.DangerousSkipTLSVerify,
	}, job.Temp)
	if err == nil {
		repo.Cache = s.f.deps.Cache
	}
	return repo, err
}

// refs asks the repository for its references, once in a run.
func (s *gitSource) refs(ctx context.Context, job *stages.Job, repo *git.Repository, patterns ...string) (git.Refs, error) {
	all, err := question(ctx, job, s.SecretRef, "git", s.address(job), trust(s.DangerousSkipTLSVerify))
	if err != nil {
		return git.Refs{}, err
	}
	if refs, ok := known[git.Refs](&s.f.memo, job.Began, all); ok {
		return refs, nil
	}
	asked := all
	if len(patterns) > 0 {
		asked += "\x00" + strings.Join(patterns, "\x00")
	}
	return once(ctx, &s.f.memo, job.Began, asked, func() (git.Refs, error) { return repo.Refs(ctx, patterns...) })
}

func (s *gitSource) Key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error) {
	if locked != nil {
		return locked.Git.SHA, nil
	}
	if git.IsSHA(s.Ref) && s.SecretRef == nil {
		return s.Ref, nil
	}
	repo, err := s.open(ctx, job)
	if err != nil {
		return "", err
	}
	defer repo.Close()
	if git.IsSHA(s.Ref) {
		return s.Ref, s.permitted(ctx, job, repo)
	}
	commit, err := s.resolve(ctx, job, repo, git.Patterns(s.Ref))
	// Without a commit, only the history tells what the reference means.
	return commit.SHA, err
}

// resolve finds the commit that ref or refSelection means.
func (s *gitSource) resolve(ctx context.Context, job *stages.Job, repo *git.Repository, patterns []string) (git.Commit, error) {
	if s.Ref == "" {
		patterns = []string{"refs/tags/*"}
	}
	refs, err := s.refs(ctx, job, repo, patterns...)
	if err != nil {
		return git.Commit{}, err
	}
	ref := s.Ref
	if ref == "" {
		tag, err := choose(refs.Tags(), *s.RefSelection)
		if err != nil {
			return git.Commit{}, fmt.Errorf("refSelection: %w", err)
		}
		ref = "refs/tags/" + tag
	}
	commit, ok := refs.Resolve(ref)
	if !ok && strings.HasPrefix(ref, "origin/") {
		return commit, s.noRef(ref)
	}
	return commit, nil
}

// permitted asks the repository whether the credentials are still good, where it would not be asked otherwise.
func (s *gitSource) permitted(ctx context.Context, job *stages.Job, repo *git.Repository) error {
	if s.SecretRef == nil {
		return nil
	}
	_, err := s.refs(ctx, job, repo, "HEAD")
	return err
}

func (s *gitSource) noRef(ref string) error {
	return stages.WithHint(fmt.Errorf("ref %s is not in %s", ref, git.Redacted(s.URL)), "expected a branch (origin/main), a tag, or a commit")
}

func (s *gitSource) Fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	var none schema.LockedSource
	repo, err := s.open(ctx, job)
	if err != nil {
		return none, err
	}
	defer repo.Close()
	if repo.TrustsUnknownHosts() {
		stages.Warn(job.Events, "the secret "+s.SecretRef.Name+" has no ssh-knownhosts: a server that is not known yet is trusted")
	}
	t := startTask(job.Events, "git", git.Redacted(s.URL))
	repo.Progress = t.detail
	info, err := s.checkout(ctx, job, repo, locked, a)
	t.end(err)
	switch {
	case errors.Is(err, git.ErrNoCommit) && locked != nil:
		return none, stale(job, fmt.Sprintf("is commit %s in the lock file, which %s no longer has", locked.Git.SHA, git.Redacted(s.URL)))
	case errors.Is(err, git.ErrNoCommit):
		return none, s.noRef(s.Ref)
	case err != nil:
		return none, err
	}
	a.Date = info.Time
	stages.Log(job.Events, fmt.Sprintf("%s: commit %s", git.Redacted(s.URL), info.SHA))
	if locked != nil {
		return *locked, nil
	}
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Git: &vendirconf.LockDirectoryContentsGit{SHA: info.SHA, Tags: info.Tags, CommitTitle: info.Title}}}, nil
}

func (s *gitSource) checkout(ctx context.Context, job *stages.Job, repo *git.Repository, locked *schema.LockedSource, a *Area) (git.Info, error) {
	keys, err := s.keys(ctx, job)
	if err != nil {
		return git.Info{}, err
	}
	var commit git.Commit
	switch {
	case locked != nil:
		commit.SHA = locked.Git.SHA
		err = s.permitted(ctx, job, repo)
	case git.IsSHA(s.Ref) && s.f.deps.Cache != nil:
		commit.SHA = s.Ref
		err = s.permitted(ctx, job, repo)
	default:
		commit, err = s.resolve(ctx, job, repo, nil)
	}
	if err != nil {
		return git.Info{}, err
	}
	opts := git.Options{SkipLFS: s.LFSSkipSmudge, SkipSubmodules: s.SkipInitSubmodules, Depth: s.Depth, SubPath: s.root, Keys: keys}
	// What vendir says of tags takes the history, unless there is to be none.
	if s.f.deps.KeepGit && (s.root == "" || s.Depth == 0) {
		opts.KeepGit, opts.SubPath = true, ""
	}
	return repo.Checkout(ctx, a.path(), commit, opts)
}

// keys are those that may have signed; none if no signature is wanted.
func (s *gitSource) keys(ctx context.Context, job *stages.Job) ([][]byte, error) {
	if s.Verification == nil {
		return nil, nil
	}
	ref := s.Verification.PublicKeysSecretRef
	if ref == nil || ref.Name == "" {
		return nil, errors.New("verification.publicKeysSecretRef: names no Secret")
	}
	data, err := job.Objects.Secret(ctx, ref.Name)
	if err != nil {
		return nil, missing("verification.publicKeysSecretRef", "Secret", ref.Name, err)
	}
	var keys [][]byte
	for _, name := range slices.Sorted(maps.Keys(data)) {
		keys = append(keys, data[name])
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("verification.publicKeysSecretRef: Secret %s holds no keys", ref.Name)
	}
	return keys, nil
}

func (s *gitSource) Origin(l schema.LockedSource) stages.Origin {
	return stages.Origin{Source: redacted(s.URL), Revision: l.Git.SHA}
}
