package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// reachTimeout is how long an API server may take to answer a simple question.
const reachTimeout = 5 * time.Second

// Reach makes sure that the API server answers and accepts the identity, by one small read that
// takes a few seconds at most.
func (c *Cluster) Reach(ctx context.Context) error {
	return c.Answers(ctx, func(ctx context.Context) error {
		client, err := c.client(ctx)
		if err != nil {
			return err
		}
		return client.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error()
	})
}

// Answers makes sure that the API server answers a question within a few seconds, and explains its error
// otherwise.
func (c *Cluster) Answers(ctx context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reachTimeout, errSilent)
	defer cancel()
	err := question(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return c.unreachable("it didn't answer within %s", reachTimeout)
	}
	return c.Explain(err)
}

var errSilent = errors.New("no answer in time")

// Explain turns an error of a request into one that names the server, what failed, and what to do.
// An error that isn't about reaching the server, or nil, is returned as it is.
func (c *Cluster) Explain(err error) error {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		dns       *net.DNSError
		timeout   net.Error
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case apierrors.IsUnauthorized(err):
		return stages.WithHint(
			fmt.Errorf("API server %s doesn't accept the credentials (401 Unauthorized)", c.Host()),
			"log in again, or check the user of %s", c.origin())
	case errors.Is(err, syscall.ECONNREFUSED):
		return c.unreachable("connection refused")
	case errors.As(err, &dns):
		return c.unreachable("its host name %s can't be resolved", dns.Name)
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &verify):
		return stages.WithHint(
			fmt.Errorf("certificate of API server %s isn't trusted: %w", c.Host(), innermost(err)),
			"check server and certificate-authority-data of %s", c.origin())
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return c.unreachable("it answers with plain HTTP instead of HTTPS")
	case errors.As(err, &timeout) && timeout.Timeout():
		return c.unreachable("it doesn't answer")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return c.unreachable("there is no route to it")
	}
	return err
}

func (c *Cluster) unreachable(format string, args ...any) error {
	return stages.WithHint(
		fmt.Errorf("API server %s can't be reached: %s", c.Host(), fmt.Sprintf(format, args...)),
		"is the cluster running, and is it the right one? The address comes from %s", c.origin())
}

func (c *Cluster) origin() string {
	a, err := c.load()
	if err != nil {
		return "the kubeconfig"
	}
	return a.origin
}

// innermost leaves out the layers of an HTTP request around a cause.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// Unserved tells whether an answer is that of an API server that has no such path, as it doesn't know, or not yet serve,
// the type. Where it only doesn't have an object, it says so in a Status of its own.
func Unserved(err error) bool {
	_, unexpected := apierrors.StatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
	return unexpected && apierrors.IsNotFound(err)
}
