package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/corpus"
)

const page = `# HELP container_memory_rss Size of RSS in bytes.
# TYPE container_memory_rss gauge
container_memory_rss{container="",id="/lab/pod1",image="",name="",namespace="corpus-x",pod="web-1"} 9 1795255800000
container_memory_rss{container="app",id="/lab/pod1/0123456789abcdef",image="i",name="n",namespace="corpus-x",pod="web-1"} 4096 1795255800000
container_memory_rss{container="app",id="/lab/pod1/fedcba9876543210",image="i",name="n",namespace="corpus-x",pod="web-1"} 8192 1795255801000
container_memory_rss{container="app",id="/lab/pod9/0123456789abcdef",image="i",name="n",namespace="other",pod="web-1"} 1 1795255800000
container_cpu_usage_seconds_total{container="app",cpu="total",id="/lab/pod1/0123456789abcdef",image="i",name="n",namespace="corpus-x",pod="web-1"} 1.5 1795255800000
container_start_time_seconds{container="app",id="/lab/pod1/0123456789abcdef",image="i",name="n",namespace="corpus-x",pod="web-1"} 1795255700 1795255800000
container_start_time_seconds{container="app",id="/lab/pod1/fedcba9876543210",image="i",name="n",namespace="corpus-x",pod="web-1"} 1795255750 1795255801000
container_oom_events_total{container="app",id="/lab/pod1/fedcba9876543210",image="i",name="n",namespace="corpus-x",pod="web-1"} 2 1795255801000
container_fs_usage_bytes{container="app",id="/lab/pod1/fedcba9876543210",image="i",name="n",namespace="corpus-x",pod="web-1"} 5 1795255801000
`

// Two lives of one container stay apart; what belongs to no container of the corpus is left out.
func TestUsagesAreReadForEachLife(t *testing.T) {
	want := []corpus.Usage{
		{
			Namespace: "corpus-x", Pod: "web-1", Container: "app", Life: "0123456789ab", RSS: 4096, CPUSeconds: 1.5,
			SampledAt: time.Unix(1795255800, 0).UTC(), StartedAt: time.Unix(1795255700, 0).UTC(),
		},
		{
			Namespace: "corpus-x", Pod: "web-1", Container: "app", Life: "fedcba987654", RSS: 8192, OOMEvents: 2,
			StartedAt: time.Unix(1795255750, 0).UTC(),
		},
	}
	if d := cmp.Diff(want, usages([]byte(page))); d != "" {
		t.Error(d)
	}
}

func TestEventsAboutWhatWasNeverSeenAreLeftOut(t *testing.T) {
	const own, other = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	line := func(kind, text string) corpus.Line { return corpus.Line{Kind: kind, Object: json.RawMessage(text)} }
	lines := []corpus.Line{
		line("Event", `{"involvedObject":{"uid":"`+own+`"}}`), // before its object
		line("Pod", `{"metadata":{"uid":"`+own+`"}}`),
		line("Event", `{"involvedObject":{"uid":"`+other+`"}}`),
		line("Event", `{"involvedObject":{"uid":"node2"}}`),
		{Kind: corpus.KindLabel, Label: &corpus.Label{}},
	}
	want := []corpus.Line{lines[0], lines[1], lines[3], lines[4]}
	if d := cmp.Diff(want, withoutStrays(lines)); d != "" {
		t.Error(d)
	}
}
