// Package forecast says when a container will reach its memory limit: (points of its history, its limit, now) → a time with its
// 90 % interval, or the rule by which there is nothing to say.
//
// Its job is to tell a leak from all else that makes memory grow. It looks at the resident memory only, which the kernel cannot
// take back (the working set has the page cache in it, and runs into its limit without harm), and takes away what load explains:
// memory is fitted to time and to CPU at once, and only what time explains is a leak. The line goes through the lowest reading of
// each of a few bins of time: a garbage collector comes down to what is alive, and that floor is what a leak raises, while the
// teeth above it come and go. The limit is reached by the teeth, not by their floor, so that the time counts to where the line and
// the usual height above it meet the limit.
//
// It is pure, allocates nothing and knows no workload. Its limits: growth that goes hand in hand with a steady growth of load is
// not called a leak, whatever it is; what leaks only at some moments an hour apart is seen late; kernel memory (page tables,
// sockets) counts against a limit and is not in the resident memory, so that a container with much of it dies earlier.
package forecast
