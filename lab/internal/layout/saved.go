package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Saved is what a lab remembers between two commands.
type Saved struct {
	Options Options           `json:"options"`
	Bin     string            `json:"bin"`     // folder of the Kubernetes binaries
	Sysctls map[string]string `json:"sysctls"` // kernel settings as they were before the first kubelet changed them
	Folders []string          `json:"folders"` // folders of the host that did not exist before
}

// Load reads what the lab remembers; ok is false if it remembers nothing.
func (l Lab) Load() (saved Saved, ok bool, err error) {
	text, err := os.ReadFile(l.savedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Saved{}, false, nil
	}
	if err != nil {
		return Saved{}, false, fmt.Errorf("read lab's settings: %w", err)
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		return Saved{}, false, fmt.Errorf("read lab's settings in %s: %w", l.savedFile(), err)
	}
	return saved, true, nil
}

// Save writes what the lab shall remember.
func (l Lab) Save(saved Saved) error {
	text, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return fmt.Errorf("encode lab's settings: %w", err)
	}
	_, err = WriteFile(l.savedFile(), append(text, '\n'), 0o600)
	return err
}

// CheckState returns an error if the state folder is somebody's and no lab's: it holds what no lab has made. `down` removes the folder with
// all that is in it, so a lab must not be put there, and nothing there be taken for one.
func (l Lab) CheckState() error {
	entries, err := os.ReadDir(l.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state folder: %w", err)
	}
	foreign := ""
	for _, entry := range entries {
		name := entry.Name()
		if name == filepath.Base(l.savedFile()) {
			return nil // written before anything else
		}
		if foreign == "" && !l.makes(name) {
			foreign = name
		}
	}
	if foreign == "" {
		return nil
	}
	return fmt.Errorf("state: %s is no lab's, %s is in it: give a folder that is empty or not there", l.State, foreign)
}

// makes reports whether a lab may have made a file or folder of that name in its state folder.
func (l Lab) makes(name string) bool {
	own := []string{l.PKI(), l.Etc(), l.Logs(), l.Pids(), l.Etcd(), l.Bin(), l.Kubeconfig(), l.Offsets(), l.savedFile()}
	for i := range MaxNodes {
		own = append(own, l.Node(i+1).Dir)
	}
	return slices.ContainsFunc(own, func(path string) bool {
		base := filepath.Base(path)
		return name == base || strings.HasPrefix(name, "."+base+".") // what WriteFile writes to at first
	})
}

func (l Lab) savedFile() string { return filepath.Join(l.State, "lab.json") }

// WriteFile writes a file atomically, making its folder, and only if the content
// differs: some components restart when their configuration file is rewritten.
// It returns whether it wrote.
func WriteFile(path string, content []byte, mode os.FileMode) (bool, error) {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("make folder of %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // after the rename there is nothing left to remove
	_, errWrite := temporary.Write(content)
	err = errors.Join(errWrite, temporary.Chmod(mode), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	return true, nil
}
