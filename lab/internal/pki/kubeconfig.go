package pki

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

// named is an entry of one of a kubeconfig's lists.
type named struct {
	Name    string         `json:"name"`
	Cluster map[string]any `json:"cluster,omitempty"`
	User    map[string]any `json:"user,omitempty"`
	Context map[string]any `json:"context,omitempty"`
}

// WriteKubeconfig writes a kubeconfig (as JSON, which YAML readers take) that has
// everything inside: the certificates in the folder are copied into it, so that
// the file can be moved. File is the certificate's name as in Request, cluster the
// name that a user sees in kubectl's contexts.
func WriteKubeconfig(path, folder, file, cluster, server string) error {
	var contents [3][]byte
	for i, name := range []string{"ca.crt", file + ".crt", file + ".key"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return fmt.Errorf("write kubeconfig: %w", err)
		}
		contents[i] = content
	}
	user := cluster + "-" + file
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1",
		"kind":       "Config",
		// []byte becomes base64, which is what these fields hold.
		"clusters":        []named{{Name: cluster, Cluster: map[string]any{"server": server, "certificate-authority-data": contents[0]}}},
		"users":           []named{{Name: user, User: map[string]any{"client-certificate-data": contents[1], "client-key-data": contents[2]}}},
		"contexts":        []named{{Name: cluster, Context: map[string]any{"cluster": cluster, "user": user}}},
		"current-context": cluster,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	_, err = layout.WriteFile(path, append(text, '\n'), 0o600)
	return err
}
