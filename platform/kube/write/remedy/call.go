package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// maxCall bounds the text of a call, in bytes.
const maxCall = 500

// call is one request that changes something.
type call struct {
	api                      rest.Interface
	verb                     string
	resource, namespace      string
	name, sub                string
	body                     any
	kind                     types.PatchType // of a PATCH
	text, short, description string
	// do sends the request in place of api, to path.
	do   func(ctx context.Context, raw []byte, dryRun []string) error
	path string
}

// send sends the request. It is never tried again by itself: a refusal is an outcome, and the next try is decided anew.
func (c *call) send(ctx context.Context, dryRun bool) error {
	raw, err := json.Marshal(c.body)
	if err != nil {
		return fmt.Errorf("write body: %w", err)
	}
	var only []string
	if dryRun {
		only = []string{metav1.DryRunAll}
	}
	if c.do != nil {
		c.text = c.describe(c.path, raw)
		return c.do(ctx, raw, only)
	}
	req := c.api.Verb(c.verb).Namespace(c.namespace).Resource(c.resource).Name(c.name).MaxRetries(0)
	if c.sub != "" {
		req = req.SubResource(c.sub)
	}
	c.text = c.describe(req.URL().Path, raw)
	if c.kind != "" {
		req = req.SetHeader("Content-Type", string(c.kind))
	} else {
		req = req.SetHeader("Content-Type", "application/json")
	}
	for _, value := range only {
		req = req.Param("dryRun", value)
	}
	return req.Param("fieldManager", FieldManager).Body(raw).Do(ctx).Error() //nolint:wrapcheck // answered gives it its words
}

// describe returns method, path and body in short.
func (c *call) describe(path string, raw []byte) string {
	body := c.short
	if body == "" {
		body = string(raw)
	}
	return cut(c.verb+" "+path+" "+body, maxCall)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// answered makes a result of what the API server said. done is the sentence of a success, in the past tense.
func (c *call) answered(a *healing.Action, err error, done string) healing.Result {
	res := healing.Result{Call: c.text}
	switch {
	case err == nil && a.DryRun:
		res.Outcome, res.Reason = incident.DryRun, healing.ReasonObserveOnly
		res.Message = c.description // the incident says before it that this would be accepted
	case err == nil:
		res.Outcome, res.Reason, res.Message = incident.Done, healing.ReasonCarriedOut, done
	case changed(err):
		res.Outcome, res.Reason = incident.Failed, healing.ReasonFailed
		res.Message = fmt.Sprintf("%s: it was changed in between: %s", c.description, details(err))
	default:
		said := refused(c.description, err)
		res.Outcome, res.Reason, res.Message = said.Outcome, said.Reason, said.Message
	}
	return res
}

// refused makes a result of a request that the API server refused: one for which the controller lacks the right is not tried again.
func refused(what string, err error) healing.Result {
	res := failed(what + ": " + explain(err))
	if lacksRight(err) {
		res.Reason = healing.ReasonForbidden
	}
	return res
}

// lacksRight reports whether the API server's authorizer refused the request: User "x" cannot patch resource "y". What admission
// forbids, a quota or somebody's policy, has other words, and may be allowed a moment later.
func lacksRight(err error) bool {
	text := details(err)
	return apierrors.IsForbidden(err) && strings.Contains(text, `User "`) && strings.Contains(text, `" cannot `)
}

// changed reports whether a precondition did not hold: a resourceVersion (409), a UID (409, or 422 in a patch), or the test of a
// JSON patch (422 without any cause).
func changed(err error) bool {
	if apierrors.IsConflict(err) {
		return true
	}
	if !apierrors.IsInvalid(err) {
		return false
	}
	text := details(err)
	return strings.Contains(text, "metadata.uid") || strings.Contains(text, "the server rejected our request due to an error in our request")
}

// explain returns the server's message, and for a right that is missing where it is given.
func explain(err error) string {
	text := details(err)
	if lacksRight(err) {
		text += "; the component deploy/remedies gives the controller this right (deploy/base those to evict and to resize)"
	}
	return text
}

// details returns the server's message with its causes, which name the PodDisruptionBudget and its numbers.
func details(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err.Error()
	}
	s := status.Status()
	parts := []string{s.Message}
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			if c.Message != "" && !strings.Contains(s.Message, c.Message) {
				parts = append(parts, c.Message)
			}
		}
	}
	return strings.Join(parts, " ")
}

func failed(message string) healing.Result {
	return healing.Result{Outcome: incident.Failed, Reason: healing.ReasonFailed, Message: message}
}

// unsupported is for what cannot be done to that object at all.
func unsupported(message string) healing.Result {
	return healing.Result{Outcome: incident.Failed, Reason: healing.ReasonNotSupported, Message: message}
}

// already is for what was done before: by the same remediation, of which the outcome was not stored, or by somebody else.
func already(message string) healing.Result {
	return healing.Result{Outcome: incident.Done, Reason: healing.ReasonCarriedOut, Message: message}
}
