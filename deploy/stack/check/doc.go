// Package check holds the tests of the files in deploy/stack: that compose and kustomize take them, that each program takes the configuration it is
// given there, and that the parts fit each other and Homeostat. No container is started: that the images exist and do as they say is not tested.
package check
