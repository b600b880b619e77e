package kubelet

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigErrorsNameFieldValueAndRange(t *testing.T) {
	r := newRig(t, servePage)
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, "")
	tests := []struct {
		name   string
		change func(c *Config)
		want   string
	}{
		{"valid", func(*Config) {}, ""},
		{"a long period alone", func(c *Config) { c.Period = 10 * time.Minute }, ""},
		{"period", func(c *Config) { c.Period = time.Millisecond }, "kubelet: period is 1ms, allowed is 100ms to 10m0s"},
		{"timeout", func(c *Config) { c.Timeout = 6 * time.Second }, "kubelet: timeout is 6s, allowed is 1ns to 5s"},
		{"workers", func(c *Config) { c.Workers = -1 }, "kubelet: workers is -1, allowed is 1 to 1024"},
		{"size", func(c *Config) { c.MaxBodyBytes = 1 }, "kubelet: maxBodyBytes is 1, allowed is 1024 to 1073741824"},
		{"path memory", func(c *Config) { c.PathMemory = 1 }, "kubelet: pathMemory is 1ns, allowed is 1s to 24h0m0s"},
		{"oom period", func(c *Config) { c.OOMPeriod = 1 }, "kubelet: oomPeriod is 1ns, allowed is 1s to 1h0m0s"},
		{"half", func(c *Config) { c.TokenFile, c.CAFile = "", "ca" }, `kubelet: tokenFile is "" and caFile is "ca", allowed is both or neither`},
		{"no way", func(c *Config) { c.TokenFile, c.CAFile, c.Proxy = "", "", Proxy{} }, "kubelet: no way to the nodes"},
		{"base URL", func(c *Config) { c.Proxy.BaseURL = "10.0.0.1" }, `kubelet: proxy.baseURL is "10.0.0.1", allowed is an http or https URL`},
		{"no CA file", func(c *Config) { c.CAFile = "/nowhere" }, "read caFile: open /nowhere"},
		{"a CA file without a certificate", func(c *Config) { c.CAFile = empty }, "has no PEM certificate"},
		{"no token file", func(c *Config) { c.TokenFile = "/nowhere" }, "read tokenFile: open /nowhere"},
		{"an empty token file", func(c *Config) { c.TokenFile = empty }, "is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := r.config
			tt.change(&c)
			s, err := New(c, nil, r.rec)
			if err == nil {
				s.client.close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
