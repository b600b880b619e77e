//go:build tools

// Package tools pins the Loki that the tests of internal/logs/loki run against. It is never compiled: Loki is under the AGPL
// and is a program of its own beside the product.
package tools

import (
	_ "github.com/grafana/loki/v3/cmd/loki"
)
