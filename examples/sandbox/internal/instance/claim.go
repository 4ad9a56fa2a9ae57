package instance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// claimFile tells the other instances of the machine what this one uses, or is about to use. It goes
// with the run folder.
const claimFile = "claim.json"

// Claim makes the state's ports and network known to other instances. The caller holds LockMachine.
func (i *Instance) Claim(state *State) error {
	data, err := json.Marshal(State{Ports: state.Ports, PodNetwork: state.PodNetwork})
	if err == nil {
		err = WriteFile(filepath.Join(i.Run, claimFile), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("claim ports: %w", err)
	}
	return nil
}

// OtherClaims returns what the other instances of the machine claim.
func (i *Instance) OtherClaims() ([]State, error) {
	files, err := filepath.Glob(filepath.Join(runRoot(), "*", claimFile))
	if err != nil {
		return nil, err
	}
	var claims []State
	for _, file := range files {
		if filepath.Dir(file) == i.Run {
			continue
		}
		// One that goes away now claims nothing; one that is damaged can't be honoured.
		var claim State
		if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &claim) == nil {
			claims = append(claims, claim)
		}
	}
	return claims, nil
}
