package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

const stateFile = "state.json"

// State is what an instance chose when it was first brought up, and keeps.
type State struct {
	// Node is "real" or "kwok".
	Node string `json:"node"`
	// Ports by their use, all on 127.0.0.1 except kubelet's, which is on the pod network's gateway.
	Ports map[string]int `json:"ports"`
	// PodNetwork is a /24 that no other network of this machine overlaps. Its first address is the
	// gateway, and the node's address.
	PodNetwork netip.Prefix `json:"podNetwork"`
	// Secret keys uploads of the registry.
	Secret string `json:"secret"`
}

// Gateway is the host's address on the pod network.
func (s *State) Gateway() netip.Addr { return s.PodNetwork.Masked().Addr().Next() }

// Load reads the state. A missing one gives fs.ErrNotExist.
func (i *Instance) Load() (*State, error) {
	data, err := os.ReadFile(i.Path(stateFile))
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(data, state); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove the instance with down --purge", i.Path(stateFile), err)
	}
	return state, nil
}

// Save replaces the state in one step, so that a crash leaves the old or the new one.
func (i *Instance) Save(state *State) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return WriteFile(i.Path(stateFile), append(data, '\n'), 0o600)
}

// WriteFile writes a file and its folder so that readers see the old content or the new, never a
// part. A file that has that content already is not touched.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
