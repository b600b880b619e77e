// Package logs turns the raw bytes of a container's log into the few lines that an incident keeps: the last ones,
// bounded in number and size, valid UTF-8, without terminal codes, and with what looks like a secret masked.
//
// It is pure: it fetches nothing and stores nothing. Masking knows the common shapes of secrets (keys and tokens by
// name, credentials in URLs, well-known token formats, private keys); it lowers the risk of keeping one, it cannot
// rule it out.
package logs
