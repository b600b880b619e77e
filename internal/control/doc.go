// Package control runs the two loops: observe, decide, record, act. It is the only place where decisions meet a clock and a
// platform, and it is the same for every platform.
//
// A loop holds no lock across I/O and is the only caller of its platform's writes. What can block (a log that is being
// captured, a write to the API server) has a deadline of its own, so that one slow target does not stop the others for longer
// than that. The package decides nothing: the numbers come from package hpa, the plans from package healing.
package control
