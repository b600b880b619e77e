package metrics

// Trend returns the long history of the container, oldest first; nil if none is kept.
func (s *Store) Trend(key Key) []TrendPoint {
	points := s.Points(key)
	out := make([]TrendPoint, 0, len(points))
	for _, p := range points {
		out = append(out, TrendPoint{At: p.At, ResidentBytes: NotKnown, MemoryBytes: p.MemoryBytes, CPUMilli: p.CPUMilli})
	}
	return out
}
