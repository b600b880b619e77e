package process

import (
	"time"

	psutil "github.com/shirou/gopsutil/v4/process"
)

// portable reads processes through gopsutil. Looking for children means a list of all processes of the machine, so that
// is done once a second only.
type portable struct{}

func (portable) member(pid int) (Member, bool) {
	p, err := psutil.NewProcess(int32(pid))
	if err != nil {
		return Member{}, false
	}
	started, err := p.CreateTime()
	if err != nil {
		return Member{}, false
	}
	memory, err := p.MemoryInfo()
	if err != nil || memory.RSS == 0 { // nothing resident: it has ended
		return Member{}, false
	}
	times, err := p.Times()
	if err != nil {
		return Member{}, false
	}
	return Member{
		PID: pid, Memory: int64(memory.RSS), started: uint64(started),
		CPU: time.Duration((times.User + times.System) * float64(time.Second)),
	}, true
}

func (portable) descendants(root int) []int {
	pids, err := psutil.Pids()
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, pid := range pids {
		p := &psutil.Process{Pid: pid}
		if parent, err := p.Ppid(); err == nil {
			children[int(parent)] = append(children[int(parent)], int(pid))
		}
	}
	var found []int
	for queue := []int{root}; len(queue) > 0; {
		below := children[queue[0]]
		delete(children, queue[0])
		found, queue = append(found, below...), append(queue[1:], below...)
	}
	return found
}

func (portable) countsEnded() bool    { return false }
func (portable) every() time.Duration { return time.Second }
