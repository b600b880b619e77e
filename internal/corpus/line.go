package corpus

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Kinds of line that are no object of the API server.
const (
	KindUsage = "Usage"
	KindLog   = "Log"
	KindLabel = "Label"
)

// Types of a watch event.
const (
	Added    = "ADDED"
	Modified = "MODIFIED"
	Deleted  = "DELETED"
)

// Line is one line of a recording: a watch event, a sample of usage, a log, or the label, which is the last.
type Line struct {
	// At is when the recorder received it.
	At time.Time `json:"at"`
	// Type is that of the watch event, empty for a line that is none.
	Type   string          `json:"type,omitempty"`
	Kind   string          `json:"kind"`
	Object json.RawMessage `json:"object,omitempty"`
	Usage  *Usage          `json:"usage,omitempty"`
	Log    *Log            `json:"log,omitempty"`
	Label  *Label          `json:"label,omitempty"`
}

// Usage is what the kubelet's page /metrics/cadvisor said of one container.
type Usage struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
	Node      string `json:"node"`
	// Life names the container's cgroup: for a while the page shows a dead life beside the new one.
	Life string `json:"life,omitempty"`
	// SampledAt is when cAdvisor measured CPU, StartedAt when the container started.
	SampledAt time.Time `json:"sampledAt,omitzero"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	// CPUSeconds is container_cpu_usage_seconds_total.
	CPUSeconds float64 `json:"cpuSeconds"`
	// WorkingSet, RSS (container_memory_rss, anonymous memory) and MemoryLimit in bytes; no limit is 0.
	WorkingSet  int64 `json:"workingSet"`
	RSS         int64 `json:"rss"`
	MemoryLimit int64 `json:"memoryLimit,omitempty"`
	// OOMEvents is container_oom_events_total.
	OOMEvents int64 `json:"oomEvents,omitempty"`
	// CFSPeriods and CFSThrottled count the scheduler's periods of the container, and those in which it was throttled.
	CFSPeriods   int64 `json:"cfsPeriods,omitempty"`
	CFSThrottled int64 `json:"cfsThrottled,omitempty"`
}

// Log is the log of one life of a container, at its end or at the end of the recording.
type Log struct {
	Pod         string   `json:"pod"`
	PodUID      string   `json:"podUID"`
	Container   string   `json:"container"`
	ContainerID string   `json:"containerID"`
	Lines       []string `json:"lines"`
}

// Label says what a recording shows.
type Label struct {
	// Want are the incidents that must be found; none for a control.
	Want []Want `json:"want"`
	// Also are kinds that are right too where they are found, such as a stuck rollout of pods that crash. Not are kinds that
	// would be plainly wrong.
	Also []string `json:"also,omitempty"`
	Not  []string `json:"not,omitempty"`
	// Why says in a sentence what happened. Hard says what makes the case easy to get wrong; empty where nothing does.
	Why  string `json:"why"`
	Hard string `json:"hard,omitempty"`
	// Derived says which part was written by a script through the API server because the machine cannot make it happen, and
	// why; empty where all of it happened.
	Derived string `json:"derived,omitempty"`
	// Began is when the failure was set off, zero where that was with the first object.
	Began time.Time `json:"began,omitzero"`
}

// Want is one incident that must be found. An empty Workload means any.
type Want struct {
	Kind     string `json:"kind"`
	Workload string `json:"workload,omitempty"`
}

// Recording is a recorded failure.
type Recording struct {
	// Kind and Name of the variant, as in the path of its file.
	Kind, Name string
	Lines      []Line
	Label      Label
}

// maxLine bounds one line of a recording; objects of the API server have at most about 1.5 MB.
const maxLine = 4 << 20

// Read reads one recording, KIND/NAME.jsonl.gz.
func Read(path string) (*Recording, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	lines, err := decode(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read recording %s: %w", path, err)
	}
	rec := &Recording{
		Kind: filepath.Base(filepath.Dir(path)), Name: strings.TrimSuffix(filepath.Base(path), ".jsonl.gz"), Lines: lines,
	}
	last := &lines[len(lines)-1]
	if last.Label == nil {
		return nil, fmt.Errorf("read recording %s: its last line is a %s: must be its Label", path, last.Kind)
	}
	rec.Label = *last.Label
	return rec, nil
}

// decode reads the lines of a recording. There is at least one, and they are in the order of their times.
func decode(r io.Reader) ([]Line, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("unzip: %w", err)
	}
	scanner := bufio.NewScanner(unzipped)
	scanner.Buffer(nil, maxLine)
	var lines []Line
	for scanner.Scan() {
		var line Line
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		if n := len(lines); n > 0 && line.At.Before(lines[n-1].At) {
			return nil, fmt.Errorf("line %d: its time %s is before that of the line before", n+1, line.At.Format(time.RFC3339Nano))
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
	}
	if len(lines) == 0 {
		return nil, errors.New("it has no line")
	}
	return lines, nil
}

// ReadAll reads every recording below a folder, sorted by kind and name.
func ReadAll(folder string) ([]*Recording, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*.jsonl.gz"))
	if err != nil {
		return nil, fmt.Errorf("find recordings: %w", err)
	}
	slices.Sort(paths)
	out := make([]*Recording, 0, len(paths))
	for _, path := range paths {
		rec, err := Read(path)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// Write writes the lines of a recording; the same lines give the same bytes.
func Write(w io.Writer, lines []Line) error {
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	encoder := json.NewEncoder(zipped)
	encoder.SetEscapeHTML(false)
	for i := range lines {
		if err := encoder.Encode(&lines[i]); err != nil {
			return fmt.Errorf("write recording: line %d: %w", i+1, err)
		}
	}
	if err := zipped.Close(); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}
