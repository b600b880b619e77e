package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsThatCannotWorkAreNamed(t *testing.T) {
	tests := map[string]struct {
		change func(*Options)
		want   []string // parts of the error; none: no error
	}{
		"defaults":            {change: func(*Options) {}},
		"two nodes":           {change: func(o *Options) { o.Nodes = 2 }},
		"no node":             {change: func(o *Options) { o.Nodes = 0 }, want: []string{"nodes", "0", "1 to 2"}},
		"unknown hpa":         {change: func(o *Options) { o.HPA = "off" }, want: []string{"hpa", `"off"`, "stock", "none"}},
		"port too high":       {change: func(o *Options) { o.API.HostPort = 70000 }, want: []string{"70000", "65535"}},
		"port used twice":     {change: func(o *Options) { o.API.HostPort = 30080 }, want: []string{"30080", "twice"}},
		"name is a path":      {change: func(o *Options) { o.Name = "../x" }, want: []string{"name", `"../x"`}},
		"name like a node's":  {change: func(o *Options) { o.Name = "lab-node2" }, want: []string{"name", "-nodeN"}},
		"a loki":              {change: func(o *Options) { o.Loki = "http://127.0.0.1:3100" }},
		"no address":          {change: func(o *Options) { o.Loki = "required" }, want: []string{"loki", `"required"`, "http://"}},
		"two things at once":  {change: func(o *Options) { o.Nodes, o.HPA = 9, "x" }, want: []string{"nodes", "hpa"}},
		"name for other labs": {change: func(o *Options) { o.Name = "homeostat-lab-2" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			options := Defaults()
			test.change(&options)
			err := options.Validate()
			if len(test.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %q", err, part)
				}
			}
		})
	}
}

func TestParseForward(t *testing.T) {
	for text, want := range map[string]Forward{
		"30080":      {HostPort: 30080, Port: 30080},
		"8080:30090": {HostPort: 8080, Port: 30090},
	} {
		got, err := ParseForward(text)
		if err != nil || got != want {
			t.Errorf("ParseForward(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1:y", "1:2:3"} {
		if got, err := ParseForward(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("ParseForward(%q) = %v, %v, want an error that quotes it", text, got, err)
		}
	}
}

func FuzzParseForward(f *testing.F) {
	f.Add("30080")
	f.Add("8080:30080")
	f.Add(":")
	f.Fuzz(func(t *testing.T, text string) {
		forward, err := ParseForward(text)
		if err != nil {
			return
		}
		if !strings.ContainsAny(text, "0123456789") {
			t.Errorf("%q was read as %v", text, forward)
		}
	})
}

func TestNodesOfTwoLabsAreApart(t *testing.T) {
	one, two := Lab{Name: "one", State: "/s/one"}, Lab{Name: "two", State: "/s/two"}
	seen := map[string]string{}
	for _, lab := range []Lab{one, two} {
		for i := range MaxNodes {
			node := lab.Node(i + 1)
			for _, name := range []string{"netns " + node.Namespace, "cgroup " + node.Cgroup, "dir " + node.Dir} {
				if other, taken := seen[name]; taken {
					t.Errorf("%s of %s belongs to %s too", name, lab.Name, other)
				}
				seen[name] = lab.Name
			}
		}
	}
}

func TestSettingsAreRemembered(t *testing.T) {
	lab := Lab{Name: "lab", State: filepath.Join(t.TempDir(), "lab")}
	if _, ok, err := lab.Load(); ok || err != nil {
		t.Fatalf("Load of nothing: %v, %v", ok, err)
	}
	want := Saved{Options: Defaults(), Bin: "/bin", Sysctls: map[string]string{"kernel/panic": "0"}, Folders: []string{"/x"}}
	if err := lab.Save(want); err != nil {
		t.Fatal(err)
	}
	got, ok, err := lab.Load()
	if !ok || err != nil {
		t.Fatalf("Load: %v, %v", ok, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(lab.State, "lab.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := lab.Load(); err == nil || !strings.Contains(err.Error(), "lab.json") {
		t.Errorf("a broken file gives %v, want an error that names it", err)
	}
}

func TestWriteFileLeavesEqualContentAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "file")
	for i, step := range []struct {
		content string
		want    bool
	}{{"a", true}, {"a", false}, {"b", true}} {
		wrote, err := WriteFile(path, []byte(step.content), 0o600)
		if err != nil || wrote != step.want {
			t.Errorf("write %d of %q: %v, %v, want %v", i, step.content, wrote, err, step.want)
		}
	}
	status, err := os.Stat(path)
	if err != nil || status.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", status.Mode(), err)
	}
}

func TestStateFoldersOfSomebodyElseAreRefused(t *testing.T) {
	tests := map[string]struct {
		files []string
		ok    bool
	}{
		"empty":                   {ok: true},
		"a lab's":                 {files: []string{"lab.json", "pki", "anything"}, ok: true},
		"of a lab that was cut":   {files: []string{"pids", "node2", ".kubeconfig.123", "log-offsets.json"}, ok: true},
		"of `up` at its first":    {files: []string{".lab.json.4711"}, ok: true},
		"a home":                  {files: []string{".bashrc", "bin"}},
		"the root of the machine": {files: []string{"bin", "etc", "usr"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := Lab{Name: "x1", State: t.TempDir()}
			for _, file := range test.files {
				if err := os.WriteFile(filepath.Join(l.State, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.CheckState(); (err == nil) != test.ok {
				t.Errorf("CheckState of %v: %v", test.files, err)
			}
		})
	}
	if err := (Lab{Name: "x1", State: filepath.Join(t.TempDir(), "none")}).CheckState(); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}
