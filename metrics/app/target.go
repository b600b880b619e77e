package app

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Pod names a pod.
type Pod struct {
	Namespace, Name string
}

// String returns namespace/name.
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// Target is the metrics page of one pod. Another UID or URL under the same name is another target, whose values start
// anew.
type Target struct {
	Namespace, Pod string
	// Container whose process serves the page, so that the CPU of that process is the container's.
	Container string
	// UID of the pod.
	UID string
	// URL of the page, such as http://10.88.1.7:8080/metrics.
	URL string
}

func (t *Target) pod() Pod { return Pod{t.Namespace, t.Pod} }

// Page says where in a pod its metrics page is.
type Page struct {
	// Scheme is http or https; empty is http.
	Scheme string
	// Port of the page; 0 is not known, and up to the caller (the one port that the container declares, say).
	Port int
	// Path of the page; empty is /metrics.
	Path string
}

// The annotations of a pod that FromAnnotations reads, as most scrape configurations of Prometheus do.
const (
	AnnotationScrape = "prometheus.io/scrape"
	AnnotationPort   = "prometheus.io/port"
	AnnotationPath   = "prometheus.io/path"
	AnnotationScheme = "prometheus.io/scheme"
)

const highestPort = 65535

// FromAnnotations returns the page that a pod's annotations tell of, with its scheme and path filled in; false where
// prometheus.io/scrape is not true. An error names the annotation, its value and what is allowed.
func FromAnnotations(annotations map[string]string) (Page, bool, error) {
	if scrape, err := strconv.ParseBool(annotations[AnnotationScrape]); err != nil || !scrape {
		return Page{}, false, nil //nolint:nilerr // what is not plainly true is as if it was not there
	}
	p := Page{Scheme: strings.ToLower(annotations[AnnotationScheme]), Path: annotations[AnnotationPath]}.withDefaults()
	if text := annotations[AnnotationPort]; text != "" {
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 {
			return Page{}, false, fmt.Errorf("annotation %s is %q, allowed is 1 to %d", AnnotationPort, text, highestPort)
		}
		p.Port = port
	}
	if field, err := p.check(); err != nil {
		return Page{}, false, fmt.Errorf("annotation prometheus.io/%s is %w", field, err)
	}
	return p, true, nil
}

// Validate returns an error that names the field that is not allowed, its value and what is allowed.
func (p Page) Validate() error {
	if field, err := p.withDefaults().check(); err != nil {
		return fmt.Errorf("%s is %w", field, err)
	}
	return nil
}

func (p Page) withDefaults() Page {
	if p.Scheme == "" {
		p.Scheme = "http"
	}
	if p.Path == "" {
		p.Path = "/metrics"
	}
	return p
}

func (p Page) check() (field string, err error) {
	switch {
	case p.Scheme != "http" && p.Scheme != "https":
		return "scheme", fmt.Errorf("%q, allowed is http or https", p.Scheme)
	case p.Port < 0 || p.Port > highestPort:
		return "port", fmt.Errorf("%d, allowed is 1 to %d", p.Port, highestPort)
	case !strings.HasPrefix(p.Path, "/") || strings.ContainsAny(p.Path, "?#\\") || strings.ContainsFunc(p.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "path", fmt.Errorf("%q, allowed is a path that begins with / and has no query", p.Path)
	}
	return "", nil
}

// URL returns the address of the page on a host, which is the pod's IP address.
func (p Page) URL(host string) string {
	p = p.withDefaults()
	path, query, _ := strings.Cut(p.Path, "?") // an Autoscaler's path may have one, an annotation's has none
	u := url.URL{
		Scheme: p.Scheme, Host: net.JoinHostPort(host, strconv.Itoa(p.Port)), Path: path, RawQuery: strings.ReplaceAll(query, " ", "%20"),
	}
	return u.String()
}
