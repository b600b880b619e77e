package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
