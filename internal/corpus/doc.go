// Package corpus holds real failures, recorded on a cluster as sequences of objects.
//
// A variant (testdata/variants/KIND/NAME.yaml) says how a failure is made and what it is; the command record makes it on the lab
// and writes what a watcher of the API server saw (testdata/recordings/KIND/NAME.jsonl.gz), sample by sample what the containers
// used, the logs of the dead ones, and as the last line the label: which kinds of failure it shows, which it plainly does not,
// and which part of it, if any, could not be made to happen and was written by a script. Package score replays them.
//
// Recordings leave out managed fields, images and heartbeats of nodes, and the warning that the lab has no cluster DNS.
package corpus
