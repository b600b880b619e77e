// Package apitest is a small API server for tests: objects of any kind as JSON over real HTTP, with resourceVersions that
// are compared, watches, deletion with preconditions, and the scale, status, eviction and log subresources as far as the
// Kubernetes adapter uses them. It checks no schema, runs no controller and keeps no history but what was deleted: a watch
// delivers the last state of what was written since its resourceVersion, and what happens from now on. What a real API
// server does beyond that is tested on a real one.
package apitest
