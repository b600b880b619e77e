package remedy

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// captureTimeout bounds one request for a profile, maxProfile what is read of its answer: an application in trouble may never
	// answer, or without an end.
	captureTimeout = 5 * time.Second
	maxProfile     = 4 << 20
	// defaultProfilePath is where net/http/pprof serves.
	defaultProfilePath = "debug/pprof"
)

// profiles are what is asked for, in words and in the path.
func profiles() []struct{ name, path string } {
	return []struct{ name, path string }{{"goroutine dump", "goroutine"}, {"heap profile", "heap"}}
}

// capture fetches a goroutine dump and a heap profile from the pod by way of the API server, as text.
func (s *Surgeon) capture(ctx context.Context, a *healing.Action) healing.Result {
	if a.ProfilePort < 1 {
		return unsupported(fmt.Sprintf("%s offers no profile: its pods are not annotated with a port", a.Workload))
	}
	if _, res, ok := s.pod(ctx, a); !ok {
		return res
	}
	base := strings.Trim(a.ProfilePath, "/")
	if base == "" {
		base = defaultProfilePath
	}
	res := healing.Result{Call: cut(fmt.Sprintf("GET /api/v1/namespaces/%s/pods/%s:%d/proxy/%s/{goroutine,heap}?debug=1",
		a.Workload.Namespace, a.Replica, a.ProfilePort, base), maxCall)}
	if a.DryRun {
		return s.mayCapture(ctx, a, res)
	}
	var got, missing []string
	for _, p := range profiles() {
		text, err := s.profile(ctx, a, base+"/"+p.path)
		if err != nil {
			missing = append(missing, fmt.Sprintf("no %s: %s", p.name, cut(logs.MaskText(err.Error()), maxCall)))
			continue
		}
		what, lines := summary(text)
		got = append(got, p.name)
		res.Evidence = append(res.Evidence, incident.Evidence{
			Kind: incident.EvidenceProfile, At: time.Now().UTC(), Replica: a.Replica,
			Message: fmt.Sprintf("%s of pod %s: %s", p.name, a.Replica, what), Lines: lines,
		})
	}
	res.Outcome, res.Reason = incident.Done, healing.ReasonCarriedOut
	res.Message = fmt.Sprintf("pod %s gave a %s", a.Replica, strings.Join(got, " and a "))
	if len(got) == 0 {
		res.Outcome, res.Reason, res.Message = incident.Failed, healing.ReasonFailed, fmt.Sprintf("pod %s gave nothing", a.Replica)
	}
	if len(missing) > 0 {
		res.Message += "; " + strings.Join(missing, "; ")
	}
	return res
}

// profile reads one profile.
func (s *Surgeon) profile(ctx context.Context, a *healing.Action, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, captureTimeout)
	defer cancel()
	body, err := s.core.CoreV1().RESTClient().Get().Namespace(a.Workload.Namespace).Resource("pods").
		Name(fmt.Sprintf("%s:%d", a.Replica, a.ProfilePort)).SubResource("proxy").Suffix(path).Param("debug", "1").MaxRetries(0).Stream(ctx)
	switch {
	case apierrors.IsForbidden(err):
		return "", fmt.Errorf("%s", explain(err))
	case err != nil:
		return "", err //nolint:wrapcheck // the caller says what is missing
	}
	defer body.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(body, maxProfile))
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	return string(raw), nil
}

// mayCapture asks the API server whether the request would be allowed: a request that changes nothing has no dry run, and an
// application is not bothered for one.
func (s *Surgeon) mayCapture(ctx context.Context, a *healing.Action, res healing.Result) healing.Result {
	review, err := s.core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: a.Workload.Namespace, Verb: "get", Resource: "pods", Subresource: "proxy", Name: fmt.Sprintf("%s:%d", a.Replica, a.ProfilePort),
		}},
	}, metav1.CreateOptions{})
	switch {
	case err != nil:
		res.Outcome, res.Reason, res.Message = incident.Failed, healing.ReasonFailed, "ask for the right to get pods/proxy: "+details(err)
	case !review.Status.Allowed:
		res.Outcome, res.Reason = incident.Failed, healing.ReasonFailed
		res.Message = "the controller may not get pods/proxy; the component deploy/remedies gives it this right"
	default:
		res.Outcome, res.Reason = incident.DryRun, healing.ReasonObserveOnly
		res.Message = fmt.Sprintf("ask pod %s for its profiles", a.Replica)
	}
	return res
}
