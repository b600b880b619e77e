package config

import "fmt"

// Grafana is where annotations are written. The token is only ever read from its file, anew with each request.
type Grafana struct {
	// URL such as http://grafana.monitoring; empty: nothing is written.
	URL string `yaml:"url"`
	// TokenFile holds the token of a service account that may write annotations. Empty: none is presented.
	TokenFile string `yaml:"tokenFile"`
	// Tags of each annotation beside its own, such as cluster:eu-1; at most 8.
	Tags []string `yaml:"tags"`
}

// The bounds of tags: Grafana stores 100 characters of each part of a tag.
const (
	maxGrafanaTags      = 8
	maxGrafanaTagLength = 100
)

// validate reports to check, which is Validate's.
func (g *Grafana) validate(check func(ok bool, field string, value any, allowed string)) {
	check(g.URL == "" || isServer(g.URL), "grafana.url", withoutSecret(g.URL),
		"allowed is the address of a Grafana, such as http://grafana.monitoring, without credentials and query")
	check(g.URL != "" || (g.TokenFile == "" && len(g.Tags) == 0), "grafana.url", g.URL, "the other settings of grafana need it")
	check(len(g.Tags) <= maxGrafanaTags, "grafana.tags", len(g.Tags), fmt.Sprintf("allowed are at most %d tags", maxGrafanaTags))
	for i, tag := range g.Tags {
		check(tag != "" && len(tag) <= maxGrafanaTagLength, fmt.Sprintf("grafana.tags[%d]", i), tag, fmt.Sprintf("allowed are 1 to %d characters", maxGrafanaTagLength))
	}
}
