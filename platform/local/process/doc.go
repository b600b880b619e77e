// Package process starts one command and watches the tree of processes that grows from it: what it prints, how it ends,
// how much CPU and resident memory it uses, and, where it has a memory limit, that it stays below it.
//
// It works on Linux and macOS, without root. Its limits:
//
//   - The memory limit is polled (twenty times a second by default), not enforced by the kernel. A tree that grows by
//     1 GiB/s can be 50 MiB over its limit before it is killed, a spike between two looks is not seen, and an allocation
//     never fails. What is killed is what the kernel of cgroup v1 kills: the largest process of the tree. If that is the
//     root, the command died of SIGKILL and Exit.OOMKilled is true; if it is a child, the command lives on.
//   - Memory is the sum of the resident memory of the processes, so a page that two of them share counts twice, and the page cache
//     does not count.
//   - CPU time has the resolution of the operating system's accounting, 10 ms on Linux. On Linux the time of a child that was waited
//     for is in the sum to the tick; on macOS it is that of the last look.
//   - A process that leaves the tree (it is adopted by init after its parent died) is no longer counted. It is still killed at the end
//     as long as it stays in the process group of the root.
//   - On Linux the root dies with the program that started it, however that ends. Its children, and everything on macOS,
//     die only if the program ends them itself.
package process
