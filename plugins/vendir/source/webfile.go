package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/stages"
)

// A webFile is one file on a web server, and what is known of it.
type webFile struct {
	request download.Request
	// secret tells whether the request holds what authorises it.
	secret bool
	// shown is the address for people, task what the progress calls it.
	shown, task string
	// want is the digest that the file must have, or empty.
	want string
}

// A webNote is what the cache knows of an address.
type webNote struct {
	Digest string `json:"digest"`
	download.Validators
	// Open means that the file was given to somebody without credentials.
	Open bool `json:"open,omitempty"`
}

const webNotes = "http"

// obtain returns the file at its start, and its digest: from the cache if it is known to be what the server
// has now and would give. The caller must close the file.
func (f *Fetcher) obtain(ctx context.Context, job *stages.Job, w webFile) (*os.File, string, error) {
	asked := strings.Join([]string{"web", w.request.URL, w.request.Username, w.request.Password, fmt.Sprint(w.request.Header), w.want}, "\x00")
	download := func(to *os.File) error {
		_, err := f.receive(ctx, job, w, to)
		return err
	}
	switch {
	case f.deps.Cache == nil && w.want == "":
		return f.deps.Cache.Add(ctx, download)
	case f.deps.Cache == nil:
		file, err := f.deps.Cache.Fill(ctx, w.want, download)
		return file, w.want, w.blame(err)
	}
	digest, err := once(ctx, &f.memo, job.Began, asked, func() (string, error) {
		if w.want != "" {
			return w.want, f.pinned(ctx, job, w)
		}
		return f.newest(ctx, job, w)
	})
	if err != nil {
		return nil, "", err
	}
	// What was evicted in the meantime is downloaded once more.
	file, err := f.deps.Cache.Fill(ctx, digest, download)
	return file, digest, w.blame(err)
}

// blame says which file has another digest.
func (w *webFile) blame(err error) error {
	if _, ok := errors.AsType[*cache.MismatchError](err); ok {
		return fmt.Errorf("%s: %w", w.shown, err)
	}
	return err
}

// pinned sees to it that the cache has a file whose digest is known. A server is asked only for what the
// cache lacks, and for permission.
func (f *Fetcher) pinned(ctx context.Context, job *stages.Job, w webFile) error {
	file, err := f.deps.Cache.Blob(ctx, w.want)
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
		var note webNote
		if !w.secret && f.deps.Cache.Note(webNotes, w.request.URL, &note) && note.Open {
			return nil
		}
		err := f.web.Check(ctx, w.request)
		var status *download.StatusError
		if !errors.As(err, &status) || status.Code != http.StatusMethodNotAllowed && status.Code != http.StatusNotImplemented {
			f.note(w, download.Answer{}, w.want, err)
			return err
		}
	}
	got, err := f.deps.Cache.Fill(ctx, w.want, func(to *os.File) error {
		answer, err := f.receive(ctx, job, w, to)
		f.note(w, answer, w.want, err)
		return err
	})
	if err != nil {
		return w.blame(err)
	}
	return got.Close()
}

// newest asks the server what it has now, and returns the digest of it.
func (f *Fetcher) newest(ctx context.Context, job *stages.Job, w webFile) (string, error) {
	var note webNote
	if f.deps.Cache.Note(webNotes, w.request.URL, &note) {
		if known, err := f.deps.Cache.Blob(ctx, note.Digest); err == nil && known != nil {
			known.Close()
			w.request.Unless = note.Validators
		}
	}
	var answer download.Answer
	file, digest, err := f.deps.Cache.Add(ctx, func(to *os.File) (err error) {
		if answer, err = f.receive(ctx, job, w, to); err == nil && answer.NotModified {
			return errKnown
		}
		return err
	})
	switch {
	case errors.Is(err, errKnown):
		f.note(w, answer, note.Digest, nil)
		return note.Digest, nil
	case err != nil:
		return "", err
	}
	f.note(w, answer, digest, nil)
	return digest, file.Close()
}

// errKnown ends a download of what the cache has already.
var errKnown = errors.New("not modified")

// note remembers what a server has answered.
func (f *Fetcher) note(w webFile, answer download.Answer, digest string, err error) {
	if err != nil {
		return
	}
	note := webNote{Digest: digest, Validators: answer.Validators, Open: !w.secret}
	var old webNote
	if f.deps.Cache.Note(webNotes, w.request.URL, &old) && old.Digest == digest {
		note.Open = note.Open || old.Open
		if note.Validators == (download.Validators{}) {
			note.Validators = old.Validators
		}
	}
	f.deps.Cache.SetNote(webNotes, w.request.URL, note)
}

// receive downloads into a file.
func (f *Fetcher) receive(ctx context.Context, job *stages.Job, w webFile, to *os.File) (download.Answer, error) {
	t := startTask(job.Events, w.task, w.shown)
	w.request.Progress = t.bytes
	answer, err := f.web.File(ctx, to, w.request)
	t.end(err)
	return answer, err
}

// moved is the error of a download that isn't what the lock has.
func moved(job *stages.Job, want string, err error) error {
	if mismatch, ok := errors.AsType[*cache.MismatchError](err); ok && want == mismatch.Want {
		return stale(job, fmt.Sprintf("now has the digest %s, but the lock file has %s", mismatch.Got, mismatch.Want))
	}
	return err
}
