package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGrafana(t *testing.T) {
	t.Parallel()
	c, err := Read(strings.NewReader("grafana: {url: https://grafana.example/ops, tokenFile: /etc/grafana/token, tags: ['cluster:eu-1']}"))
	if err != nil {
		t.Fatal(err)
	}
	want := Grafana{URL: "https://grafana.example/ops", TokenFile: "/etc/grafana/token", Tags: []string{"cluster:eu-1"}}
	if diff := cmp.Diff(want, c.Grafana); diff != "" {
		t.Errorf("grafana (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"grafana: {url: 'grafana:3000'}":                              `grafana.url: "grafana:3000" is not allowed: allowed is the address of a Grafana`,
		"grafana: {url: 'http://admin:secret@grafana'}":               `grafana.url: "http://admin:xxxxx@grafana" is not allowed`,
		"grafana: {tokenFile: /etc/token}":                            `grafana.url: "" is not allowed: the other settings of grafana need it`,
		"grafana: {url: 'http://grafana', tags: ['']}":                `grafana.tags[0]: "" is not allowed: allowed are 1 to 100 characters`,
		"grafana: {url: 'http://grafana', tags: [1,2,3,4,5,6,7,8,9]}": `grafana.tags: 9 is not allowed: allowed are at most 8 tags`,
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", text, err, want)
		}
	}
}
