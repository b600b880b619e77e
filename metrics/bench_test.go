package metrics

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkWindowAdd(b *testing.B) {
	w := NewWindow(60)
	s := sample(0, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		s.At = s.At.Add(10 * time.Second)
		s.CPUSeconds++
		w.Add(s)
	}
}

func BenchmarkWindowUsage(b *testing.B) {
	w := NewWindow(60)
	for i := range 60 {
		w.Add(sample(float64(i*10), float64(i), 64))
	}
	now := sec(595)
	b.ReportAllocs()
	for b.Loop() {
		if !w.Usage(now, 15*time.Second, time.Minute).OK() {
			b.Fatal("no usage")
		}
	}
}

func BenchmarkStorePod(b *testing.B) {
	s := newStore(b, Config{})
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprint("pod-", i)
		for _, c := range []string{"app", "sidecar"} {
			for at := range 10 {
				s.Add(Key{"shop", names[i], c}, "n1", sample(float64(at*10), float64(at), 64))
			}
		}
	}
	now, i := sec(95), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if len(s.Pod("shop", names[i%len(names)], now).Containers) != 2 {
			b.Fatal("no usage")
		}
	}
}

func BenchmarkStoreAdd(b *testing.B) {
	s := newStore(b, Config{})
	keys := make([]Key, 1000)
	for i := range keys {
		keys[i] = Key{"shop", fmt.Sprint("pod-", i), "app"}
	}
	one, i := sample(0, 0, 64), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if i%len(keys) == 0 {
			one.At = one.At.Add(10 * time.Second)
			one.CPUSeconds++
		}
		s.Add(keys[i%len(keys)], "n1", one)
	}
}
