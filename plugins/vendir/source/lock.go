package source

import (
	"fmt"

	vendirver "carvel.dev/vendir/pkg/vendir/versions"
	versions "carvel.dev/vendir/pkg/vendir/versions/v1alpha1"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// kindOf is the key of the source that a lock entry is for.
func kindOf(l schema.LockedSource) string {
	switch {
	case l.Git != nil:
		return "git"
	case l.Image != nil:
		return "image"
	case l.ImgpkgBundle != nil:
		return "imgpkgBundle"
	case l.HelmChart != nil:
		return "helmChart"
	case l.HTTP != nil:
		return "http"
	case l.Inline != nil:
		return "inline"
	case l.Directory != nil:
		return "directory"
	case l.Hg != nil:
		return "hg"
	case l.GithubRelease != nil:
		return "githubRelease"
	case l.Manual != nil:
		return "manual"
	default:
		return "unknown"
	}
}

// Locked is the lock's entry of a source if it has to be used.
func Locked(s Source, job *stages.Job) (*schema.LockedSource, error) {
	if job.Lock == nil || !job.Lock.Enforces(job.Folder) {
		return nil, nil
	}
	entry, _, err := job.Lock.Source(job.Folder)
	if err != nil {
		return nil, err
	}
	if kind := kindOf(entry); kind != s.Kind() {
		return nil, stale(job, fmt.Sprintf("is of the kind %s, but the lock file has one of the kind %s", s.Kind(), kind))
	}
	if reason := s.Stale(entry); reason != "" {
		return nil, stale(job, reason)
	}
	return &entry, nil
}

// stale is the error of a lock entry that can't be used.
func stale(job *stages.Job, reason string) error {
	return &stages.LockError{Entry: "source " + job.Folder, Reason: reason}
}

// choose returns the version that a selection chooses.
func choose(all []string, s versions.VersionSelection) (string, error) {
	chosen, err := vendirver.HighestConstrainedVersion(all, s)
	if err != nil {
		return "", stages.WithHint(fmt.Errorf("no tag is chosen by %s", s.Description()),
			"the repository has %d tags; prereleases count only with “prereleases: {}”", len(all))
	}
	return chosen, nil
}

// allows tells whether a selection could choose a version.
func allows(s versions.VersionSelection, version string) bool {
	_, err := vendirver.HighestConstrainedVersion([]string{version}, s)
	return err == nil
}

// checkConstraints checks the syntax of a selection's constraints.
func checkConstraints(text string) error {
	_, err := vendirver.NewRelaxedSemversNoErr(nil).FilterConstraints(text)
	return err
}
