// Package policy turns the specs of Autoscalers and HealingPolicies into the policies that the engines decide by, the
// same on every platform, and reads such objects from files where there is no API server.
//
// It checks everything that the CRDs' schemas check, because a file was seen by no API server and a stored object may
// be older than its schema; an error names the field's path, its value and what is allowed. Defaults are those of
// Kubernetes where it has the field, else those of the engines. It reads no cluster: whether a target exists is not
// known here.
package policy
