package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// program builds a small static Linux program.
func program(t *testing.T, file string, env ...string) string {
	t.Helper()
	folder := t.TempDir()
	source := filepath.Join(folder, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\"hello\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(folder, file)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, source)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, text)
	}
	return out
}

func certificates(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("certificates"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArchiveHoldsWhatAPodNeeds(t *testing.T) {
	const reference = "localhost/hello:dev"
	binary := program(t, "hello")
	out := filepath.Join(t.TempDir(), "folder", "hello.tar")
	spec := Spec{Name: reference, Binaries: []string{binary}, Certificates: certificates(t), Labels: map[string]string{"a": "b"}}
	if err := Write(spec, out); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(out, &tag) // fails if the archive has no image of that name
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture == "" || config.Config.User != "65532:65532" ||
		!cmp.Equal(config.Config.Entrypoint, []string{"/hello"}) || config.Config.Labels["a"] != "b" {
		t.Errorf("configuration is %+v", config)
	}
	if len(config.History) != len(config.RootFS.DiffIDs) {
		t.Errorf("%d layers, %d entries of history", len(config.RootFS.DiffIDs), len(config.History))
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Mode    int64
		Content string
	}
	got := map[string]entry{}
	flat := mutate.Extract(img)
	defer flat.Close()
	for reader := tar.NewReader(flat); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		got[strings.TrimSuffix(header.Name, "/")] = entry{header.Mode, string(text)}
	}
	if got["hello"] != (entry{0o755, string(content)}) {
		t.Error("the binary is not in the root folder, or not executable")
	}
	if got["tmp"].Mode != 0o1777 {
		t.Errorf("/tmp has mode %o", got["tmp"].Mode)
	}
	if got["etc/ssl/certs/ca-certificates.crt"].Content != "certificates" {
		t.Error("no CA certificates where Go looks for them")
	}
	if !strings.Contains(got["etc/passwd"].Content, ":65532:65532:") {
		t.Error("the user has no name")
	}
}

func TestSameInputSameBytes(t *testing.T) {
	spec := Spec{Name: "localhost/hello:dev", Binaries: []string{program(t, "hello")}, Certificates: certificates(t)}
	var archives [2][]byte
	for i := range archives {
		out := filepath.Join(t.TempDir(), "hello.tar")
		if err := Write(spec, out); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds differ")
	}
}

func TestWhatCannotRunIsRefused(t *testing.T) {
	static := program(t, "hello")
	foreign := program(t, "foreign", "GOOS=darwin")
	other := "arm64"
	if img, err := Build(Spec{Binaries: []string{static}}); err == nil {
		if config, err := img.ConfigFile(); err == nil && config.Architecture == other {
			other = "amd64"
		}
	}
	tests := map[string]struct {
		spec Spec
		want string
	}{
		"no binary":             {Spec{}, "binaries: none"},
		"binary is missing":     {Spec{Binaries: []string{"/no/such"}}, "/no/such"},
		"for another system":    {Spec{Binaries: []string{foreign}}, "GOOS=linux"},
		"two architectures":     {Spec{Binaries: []string{static, program(t, "second", "GOARCH="+other)}}, "the others are for"},
		"unknown entrypoint":    {Spec{Binaries: []string{static}, Entrypoint: "/helo"}, `entrypoint: "/helo"`},
		"entrypoint no program": {Spec{Binaries: []string{static}, Entrypoint: "/etc/passwd"}, "entrypoint"},
		"no certificates":       {Spec{Binaries: []string{static}, Certificates: "/no/such.pem"}, "/no/such.pem"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Build(test.spec); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Build = %v, want an error with %q", err, test.want)
			}
		})
	}
	t.Run("name", func(t *testing.T) {
		err := Write(Spec{Name: "Not A Name", Binaries: []string{static}}, filepath.Join(t.TempDir(), "x.tar"))
		if err == nil || !strings.Contains(err.Error(), "name") {
			t.Errorf("Write = %v", err)
		}
	})
}

func TestDynamicBinaryIsRefused(t *testing.T) {
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip("SKIPPED: no dynamically linked program at hand")
	}
	_, err = architectureOf(shell)
	if err == nil {
		t.Skip("SKIPPED: /bin/sh is static here")
	}
	if strings.Contains(err.Error(), "no Linux program") {
		t.Skip("SKIPPED: /bin/sh is no Linux program here")
	}
	if !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("error is %v", err)
	}
}
