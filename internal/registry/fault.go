package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A Fault is something wrong with a registry, or with what it answers, that isn't an answer by the
// rules of the protocol.
type Fault struct {
	// Host is the registry's, as in references, or another that it has led to.
	Host string
	// Text says what is wrong; it goes behind the host.
	Text string
	// dead means that the host can't be expected to answer other requests either, passing that
	// another try may end well.
	dead, passing bool
}

func (f *Fault) Error() string { return "registry " + f.Host + " " + f.Text }

func silent(host string, limit time.Duration) *Fault {
	return &Fault{Host: host, Text: fmt.Sprintf("has accepted a request, but hasn't answered for %v", limit), dead: true, passing: true}
}

func stalled(host string, got int64, limit time.Duration) *Fault {
	return &Fault{Host: host, Text: fmt.Sprintf("has stopped in the middle of an answer: nothing came for %v after %d bytes", limit, got), passing: true}
}

func brokenOff(host string, got int64) *Fault {
	return &Fault{Host: host, Text: fmt.Sprintf("has broken off an answer after %d bytes", got), passing: true}
}

// unreachable gives the error of a request that got no answer its own words where the system's are
// unclear.
func unreachable(host string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &Fault{Host: host, Text: "can't be reached: the attempt to connect timed out", dead: true}
	}
	return err
}

// dead tells whether an error means that a host doesn't answer, so that it is pointless to ask it more.
func dead(err error) bool {
	if _, answered := errors.AsType[*transport.Error](err); answered || interrupted(err) {
		return false
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.dead
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// Passing tells whether an error is a fault that may be gone when the same is asked again.
func Passing(err error) bool {
	f, ok := errors.AsType[*Fault](err)
	return ok && f.passing
}

// Untrusted tells whether an error says that nobody vouches for a registry's certificate.
func Untrusted(err error) bool {
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

// PlainOnly tells whether an error says that a registry speaks plain HTTP where HTTPS was expected.
func PlainOnly(err error) bool { return errors.Is(err, http.ErrSchemeMismatch) }

// Limited tells whether an error says that a registry has been asked too often.
func Limited(err error) bool {
	te, ok := errors.AsType[*transport.Error](err)
	return ok && te.StatusCode == http.StatusTooManyRequests
}

// Reason is what an error of a [Client] says, without the request that it came from.
func Reason(err error) string {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Error()
	}
	if u, ok := errors.AsType[*url.Error](err); ok && !errors.Is(err, context.Canceled) {
		if errors.Is(u.Err, io.EOF) {
			return "registry " + hostOf(u.URL) + " has closed the connection without an answer"
		}
		return u.Err.Error()
	}
	return err.Error()
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}
