// Package test checks the lab as a whole, on the machine itself: it needs Linux,
// root and the programs that `lab up` names, and is built with the tag lab only.
package test
