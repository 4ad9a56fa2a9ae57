package ssa

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

const (
	// tries is how often a request is made that the server is too busy for, and firstPause how long is
	// waited after the first; each pause is twice the one before. Together that is half a minute.
	tries      = 9
	firstPause = 100 * time.Millisecond
)

// patient makes a request again that failed only for the moment. All of the plugin's requests may be
// made twice.
func patient(ctx context.Context, request func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := request()
		if err == nil || n == tries || !passing(err) {
			return err
		}
		wait := pause
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			wait = max(wait, time.Duration(seconds)*time.Second)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		pause *= 2
	}
}

// passing tells whether the same request may succeed later.
func passing(err error) bool {
	switch {
	case apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err):
		return true
	case apierrors.IsInternalError(err):
		// The pods of a webhook may be on their way, or it is slow.
		return strings.Contains(err.Error(), "failed calling webhook")
	case apierrors.IsConflict(err):
		// Somebody else has written between the server's own reading and writing.
		_, owned := apierrors.StatusCause(err, metav1.CauseTypeFieldManagerConflict)
		return !owned && strings.Contains(err.Error(), "the object has been modified")
	}
	return utilnet.IsConnectionReset(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)
}
