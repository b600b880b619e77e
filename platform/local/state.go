package local

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

// The layout of a state folder.
const (
	lockFile       = "lock"
	budgetFile     = "budgets.json"
	incidentDir    = "incidents"
	autoscalerDir  = "autoscalers"
	stateExtension = ".json"
)

// AutoscalerStatus is what was decided last about one autoscaler.
type AutoscalerStatus struct {
	Ref    cluster.Ref  `json:"ref"`
	Target cluster.Ref  `json:"target"`
	Mode   control.Mode `json:"mode"`
	Min    int32        `json:"minReplicas"`
	Max    int32        `json:"maxReplicas"`
	// Decision is the last one; nil where none was made yet.
	Decision *hpa.Recommendation `json:"lastDecision,omitempty"`
	// Error of the write that followed; empty: there was none.
	Error string `json:"error,omitempty"`
	// Changes are the changes of the number of replicas, newest first, at most ten.
	Changes []ScaleChange `json:"lastChanges,omitempty"`
}

// ScaleChange is one change of the number of replicas that was carried out.
type ScaleChange struct {
	At      time.Time  `json:"at"`
	From    int32      `json:"from"`
	To      int32      `json:"to"`
	Reason  hpa.Reason `json:"reason"`
	Message string     `json:"message"`
	// ID of the decision (cluster.DecisionID).
	ID string `json:"id,omitempty"`
}

// State is what a state folder held when it was read. It is safe for concurrent use, and does not change.
type State struct {
	autoscalers []AutoscalerStatus
	incidents   []incident.Incident
}

// OpenState reads the state folder of a Platform, which may be running. Call it again for what is there later.
func OpenState(dir string) (*State, error) {
	if _, err := os.Stat(filepath.Join(dir, lockFile)); err != nil {
		return nil, fmt.Errorf("read state folder %q: it is none: %w", dir, err)
	}
	incidents, err := readIncidents(dir)
	if err != nil {
		return nil, err
	}
	s := &State{}
	for _, in := range incidents {
		s.incidents = append(s.incidents, in)
	}
	slices.SortFunc(s.incidents, func(a, b incident.Incident) int {
		return cmp.Or(b.OpenedAt.Compare(a.OpenedAt), strings.Compare(a.Name, b.Name))
	})
	err = readFolder(filepath.Join(dir, autoscalerDir), func(content []byte) error {
		var a AutoscalerStatus
		if err := json.Unmarshal(content, &a); err != nil {
			return err
		}
		s.autoscalers = append(s.autoscalers, a)
		return nil
	})
	return s, err
}

// Autoscalers returns the last decisions, sorted by name.
func (s *State) Autoscalers() []AutoscalerStatus { return slices.Clone(s.autoscalers) }

// Incidents returns the incidents, the newest first.
func (s *State) Incidents() []incident.Incident {
	list := make([]incident.Incident, len(s.incidents))
	for i := range list {
		list[i] = s.incidents[i].Clone()
	}
	return list
}

// storedIncident is the file of an incident. The version is for compare-and-swap.
type storedIncident struct {
	Version  int64             `json:"version"`
	Incident incident.Incident `json:"incident"`
}

// readIncidents returns the incidents by their names.
func readIncidents(dir string) (map[string]incident.Incident, error) {
	all := map[string]incident.Incident{}
	err := readFolder(filepath.Join(dir, incidentDir), func(content []byte) error {
		var stored storedIncident
		if err := json.Unmarshal(content, &stored); err != nil {
			return err
		}
		stored.Incident.Version = versionString(stored.Version)
		all[stored.Incident.Name] = stored.Incident
		return nil
	})
	return all, err
}

// readFolder reads every file of the folder, in the order of their names. A folder that is not there is empty, and so is
// a file that was removed meanwhile.
func readFolder(dir string, read func(content []byte) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read state folder: %w", err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != stateExtension {
			continue
		}
		path := filepath.Join(dir, e.Name())
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = read(content)
		}
		if err != nil {
			return fmt.Errorf("read state file %s: %w; remove it to go on without it", path, err)
		}
	}
	return nil
}

// writeFile replaces the file as a whole: a reader sees the old content or the new one, also after a crash.
func writeFile(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	_, err = f.Write(append(content, '\n'))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// readFile reads a file of the state folder into value, and leaves it as it is where there is no such file.
func readFile(path string, value any) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(content, value)
	}
	if err != nil {
		return fmt.Errorf("read state file %s: %w; remove it to go on without it", path, err)
	}
	return nil
}
