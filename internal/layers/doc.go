// Package layers says which package may import which, as a table, and its test holds the code against it.
//
// nouns < decisions < adapters < wiring < commands: each layer imports only those below it, and the three kinds
// of decisions, hpa, healing and alerts, do not import each other. The package has no other use.
package layers
