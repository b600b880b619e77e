// Package image builds container images from static binaries on an empty base,
// without a container engine. What it writes is an archive as `docker save` makes
// it, which `ctr images import`, `docker load` and `kind load image-archive` take.
// The same input gives the same bytes. It does not push and does not pull.
package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// User is who the processes of an image are: the numeric user and group that
// distroless images call nonroot, so that runAsNonRoot can be verified.
const User = "65532:65532"

// CertificatesInside is where an image has its CA certificates; Go looks there
// first.
const CertificatesInside = "/etc/ssl/certs/ca-certificates.crt"

// Spec describes one image.
type Spec struct {
	Name         string            // with tag, such as localhost/homeostat:dev
	Binaries     []string          // paths of static binaries; each goes to the root folder under its base name
	Entrypoint   string            // absolute path inside; empty: the first binary
	Certificates string            // path of a PEM file on this machine; empty: no CA certificates inside
	Labels       map[string]string // may be nil
}

// file is one entry of a layer.
type file struct {
	path    string // without leading slash; a folder ends in one
	mode    int64
	content []byte
}

// Write builds the image and writes the archive to a file, atomically.
func Write(spec Spec, out string) error {
	tag, err := name.NewTag(spec.Name, name.WeakValidation)
	if err != nil {
		return fmt.Errorf("build image: name: %w", err)
	}
	built, err := Build(spec)
	if err != nil {
		return fmt.Errorf("build image %s: %w", spec.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("write image %s: %w", spec.Name, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return fmt.Errorf("write image %s: %w", spec.Name, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // after the rename there is nothing left to remove
	err = errors.Join(tarball.Write(tag, built, temporary), temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), out)
	}
	if err != nil {
		return fmt.Errorf("write image %s: %w", spec.Name, err)
	}
	return nil
}

// Build builds the image in memory: a layer with what every program expects, and
// one layer per binary, so that a changed binary leaves the others' layers alone.
func Build(spec Spec) (v1.Image, error) {
	if len(spec.Binaries) == 0 {
		return nil, errors.New("binaries: none given, at least one is needed")
	}
	base, err := baseFiles(spec.Certificates)
	if err != nil {
		return nil, err
	}
	layers := [][]file{base}
	var architecture string
	for _, binary := range spec.Binaries {
		content, err := os.ReadFile(binary)
		if err != nil {
			return nil, fmt.Errorf("read binary: %w", err)
		}
		found, err := architectureOf(content)
		if err != nil {
			return nil, fmt.Errorf("binary %s: %w", binary, err)
		}
		if architecture != "" && architecture != found {
			return nil, fmt.Errorf("binary %s: it is for %s, the others are for %s", binary, found, architecture)
		}
		architecture = found
		layers = append(layers, []file{{path: filepath.Base(binary), mode: 0o755, content: content}})
	}
	entrypoint := spec.Entrypoint
	if entrypoint == "" {
		entrypoint = "/" + filepath.Base(spec.Binaries[0])
	}
	if !hasFile(layers, entrypoint) {
		return nil, fmt.Errorf("entrypoint: %q is none of the binaries, which are in the root folder under their base names", entrypoint)
	}
	return assemble(layers, v1.ConfigFile{
		Architecture: architecture,
		OS:           "linux",
		Config: v1.Config{
			User:       User,
			Entrypoint: []string{entrypoint},
			Env:        []string{"PATH=/", "HOME=/tmp"},
			WorkingDir: "/",
			Labels:     spec.Labels,
		},
	})
}

func assemble(layers [][]file, config v1.ConfigFile) (v1.Image, error) {
	built := empty.Image
	for _, files := range layers {
		packed, err := pack(files)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil })
		if err != nil {
			return nil, fmt.Errorf("make layer: %w", err)
		}
		if built, err = mutate.AppendLayers(built, layer); err != nil {
			return nil, fmt.Errorf("append layer: %w", err)
		}
	}
	have, err := built.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image's configuration: %w", err)
	}
	config.RootFS, config.History = have.RootFS, have.History
	return mutate.ConfigFile(built, &config)
}

func hasFile(layers [][]file, inside string) bool {
	for _, files := range layers {
		for _, f := range files {
			if "/"+f.path == path.Clean(inside) && f.mode&0o111 != 0 {
				return true
			}
		}
	}
	return false
}

// baseFiles is what every image has: a place for temporary files, names for the
// user, and CA certificates if there are any.
func baseFiles(certificates string) ([]file, error) {
	files := []file{
		{path: "etc/", mode: 0o755},
		{path: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{path: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n")},
		{path: "tmp/", mode: 0o1777},
	}
	if certificates == "" {
		return files, nil
	}
	content, err := os.ReadFile(certificates)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates: %w", err)
	}
	return append(files,
		file{path: "etc/ssl/", mode: 0o755},
		file{path: "etc/ssl/certs/", mode: 0o755},
		file{path: strings.TrimPrefix(CertificatesInside, "/"), mode: 0o644, content: content}), nil
}

// pack makes an uncompressed layer. Times and owners are fixed, so that equal
// files make equal layers.
func pack(files []file) ([]byte, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, f := range files {
		header := &tar.Header{Name: f.path, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
		if strings.HasSuffix(f.path, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.path, err)
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("pack layer: %w", err)
	}
	return packed.Bytes(), nil
}

// architectureOf returns Go's name of the architecture a Linux program is for. A
// program that needs a dynamic loader is refused: an empty base has none.
func architectureOf(content []byte) (string, error) {
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return "", fmt.Errorf("it is no Linux program (build it with GOOS=linux): %w", err)
	}
	defer func() { _ = program.Close() }()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return "", errors.New("it is linked dynamically and cannot run on an empty base (build it with CGO_ENABLED=0)")
		}
	}
	switch program.Machine { //nolint:exhaustive // the others are refused
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("architecture %s is not supported, amd64 and arm64 are", program.Machine)
	}
}
