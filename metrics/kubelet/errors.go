package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// Class says in a word why a scrape failed. The set is bounded.
type Class string

// The classes.
const (
	// ClassTimeout is a connection or an answer that did not come in time.
	ClassTimeout Class = "Timeout"
	// ClassRefused is a connection that was refused: the node is up and its kubelet is not.
	ClassRefused Class = "Refused"
	// ClassNetwork is any other trouble with the connection, such as no route.
	ClassNetwork Class = "Network"
	// ClassTLS is a certificate that is not valid for the node or not signed by the CA, or a failed handshake.
	ClassTLS Class = "TLS"
	// ClassCredentials is a token that could not be read.
	ClassCredentials Class = "Credentials"
	// ClassUnauthorized is status 401: the credentials are not accepted.
	ClassUnauthorized Class = "Unauthorized"
	// ClassForbidden is status 403: the role lacks nodes/metrics (directly) or nodes/proxy (through the API server).
	ClassForbidden Class = "Forbidden"
	// ClassStatus is any other HTTP status than 200.
	ClassStatus Class = "Status"
	// ClassBadPage is a page that cannot be parsed, or in which the kubelet reports an error of its own.
	ClassBadPage Class = "BadPage"
	// ClassTooLarge is a page above the configured size.
	ClassTooLarge Class = "TooLarge"
)

// Path is a way to a kubelet.
type Path string

// The paths.
const (
	PathDirect Path = "direct"
	PathProxy  Path = "proxy"
)

// PathError is the failure of one way to a node.
type PathError struct {
	Path  Path
	Class Class
	Err   error
}

// Error names path, class and cause.
func (e *PathError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Path, e.Class, e.Err) }

// Unwrap returns the cause.
func (e *PathError) Unwrap() error { return e.Err }

// NodeError is a failed scrape of a node: the failure of each way that was tried, at least one, in that order.
type NodeError struct {
	Node  string
	Paths []*PathError
}

// Error names the node and each failure.
func (e *NodeError) Error() string {
	parts := make([]string, len(e.Paths))
	for i, p := range e.Paths {
		parts[i] = p.Error()
	}
	return "scrape node " + e.Node + ": " + strings.Join(parts, "; ")
}

// Unwrap returns the failures.
func (e *NodeError) Unwrap() []error {
	errs := make([]error, len(e.Paths))
	for i, p := range e.Paths {
		errs[i] = p
	}
	return errs
}

// ClassOf returns the class of a scrape's error; empty if it has none. Where both ways failed it is that of the direct
// one, because the other is only the fallback.
func ClassOf(err error) Class {
	if node, ok := errors.AsType[*NodeError](err); ok {
		for _, p := range node.Paths {
			if p.Path == PathDirect {
				return p.Class
			}
		}
	}
	if path, ok := errors.AsType[*PathError](err); ok {
		return path.Class
	}
	return ""
}

// classedError carries its class to where the path is known.
type classedError struct {
	class Class
	err   error
}

func (e *classedError) Error() string { return e.err.Error() }
func (e *classedError) Unwrap() error { return e.err }

// classify returns the class of an error of get.
func classify(err error) Class {
	var (
		classed      *classedError
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		operation    *net.OpError
		network      net.Error
	)
	switch {
	case errors.As(err, &classed):
		return classed.class
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return ClassTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused
	case errors.As(err, &verification), errors.As(err, &record),
		errors.As(err, &operation) && strings.HasSuffix(operation.Op, " error"): // "remote error" is a TLS alert
		return ClassTLS
	default:
		return ClassNetwork
	}
}

func classOfStatus(status int) Class {
	switch status {
	case http.StatusUnauthorized:
		return ClassUnauthorized
	case http.StatusForbidden:
		return ClassForbidden
	default:
		return ClassStatus
	}
}

// maxCause is how much of a cause is kept: an error of the parser quotes the page.
const maxCause = 300

// clip returns at most maxCause bytes of s, as valid UTF-8 on one line.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxCause {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.ToValidUTF8(s[:maxCause], "?") + " …"
}
