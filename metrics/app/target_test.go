package app

import (
	"testing"
)

func TestFromAnnotations(t *testing.T) {
	tests := []struct {
		name        string
		annotations map[string]string
		want        Page
		ok          bool
		err         string
	}{
		{"none", nil, Page{}, false, ""},
		{"not to be scraped", map[string]string{AnnotationScrape: "false", AnnotationPort: "bad"}, Page{}, false, ""},
		{"not plainly true", map[string]string{AnnotationScrape: "yes please"}, Page{}, false, ""},
		{"defaults", map[string]string{AnnotationScrape: "true"}, Page{"http", 0, "/metrics"}, true, ""},
		{
			"all",
			map[string]string{AnnotationScrape: "True", AnnotationPort: "8443", AnnotationPath: "/actuator/prometheus", AnnotationScheme: "HTTPS"},
			Page{"https", 8443, "/actuator/prometheus"},
			true, "",
		},
		{"no number", map[string]string{AnnotationScrape: "true", AnnotationPort: "http"}, Page{}, false, `annotation prometheus.io/port is "http", allowed is 1 to 65535`},
		{"zero", map[string]string{AnnotationScrape: "true", AnnotationPort: "0"}, Page{}, false, `annotation prometheus.io/port is "0", allowed is 1 to 65535`},
		{"too large", map[string]string{AnnotationScrape: "true", AnnotationPort: "65536"}, Page{}, false, "annotation prometheus.io/port is 65536, allowed is 1 to 65535"},
		{"scheme", map[string]string{AnnotationScrape: "true", AnnotationScheme: "file"}, Page{}, false, `annotation prometheus.io/scheme is "file", allowed is http or https`},
		{
			"path",
			map[string]string{AnnotationScrape: "true", AnnotationPath: "metrics"},
			Page{},
			false,
			`annotation prometheus.io/path is "metrics", allowed is a path that begins with / and has no query`,
		},
		{
			"query",
			map[string]string{AnnotationScrape: "true", AnnotationPath: "/m?a=b"},
			Page{},
			false,
			`annotation prometheus.io/path is "/m?a=b", allowed is a path that begins with / and has no query`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := FromAnnotations(tt.annotations)
			said := ""
			if err != nil {
				said = err.Error()
			}
			if got != tt.want || ok != tt.ok || said != tt.err {
				t.Errorf("page is %+v, %v, %q, want %+v, %v, %q", got, ok, said, tt.want, tt.ok, tt.err)
			}
		})
	}
}

func TestPageURL(t *testing.T) {
	for _, tt := range []struct {
		p          Page
		host, want string
	}{
		{Page{Port: 8080}, "10.0.0.7", "http://10.0.0.7:8080/metrics"},
		{Page{Scheme: "https", Port: 1, Path: "/a b%2f"}, "fd00::7", "https://[fd00::7]:1/a%20b%252f"},
		{Page{Port: 15090, Path: "/stats/prometheus?usedonly&filter=a b"}, "10.0.0.7", "http://10.0.0.7:15090/stats/prometheus?usedonly&filter=a%20b"},
	} {
		if got := tt.p.URL(tt.host); got != tt.want {
			t.Errorf("URL is %s, want %s", got, tt.want)
		}
	}
	if err := (Page{Port: -1}).Validate(); err == nil || err.Error() != "port is -1, allowed is 1 to 65535" {
		t.Errorf("error is %v", err)
	}
	if err := (Page{}).Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

func FuzzFromAnnotations(f *testing.F) {
	f.Add("true", "8080", "/metrics", "http")
	f.Add("1", "", "", "")
	f.Fuzz(func(t *testing.T, scrape, port, path, scheme string) {
		p, ok, err := FromAnnotations(map[string]string{AnnotationScrape: scrape, AnnotationPort: port, AnnotationPath: path, AnnotationScheme: scheme})
		if ok && err != nil || !ok && p != (Page{}) {
			t.Errorf("page is %+v, %v, %v", p, ok, err)
		}
		if ok && p.Validate() != nil {
			t.Errorf("page %+v is told and not valid: %v", p, p.Validate())
		}
	})
}
