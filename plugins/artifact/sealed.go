package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/stages"
)

// A sealed remembers what was pushed of encrypted content, which is different each time that it is
// encrypted. It is in the App's own cache, where only the user can read it.
type sealed struct {
	// Input is the digest of the content before it was encrypted, and of how that is done.
	Input string `json:"input"`
	// Digest is the artifact's; empty if nothing equal was pushed.
	Digest string `json:"digest"`

	file string
}

// sealed finds what was pushed of equal content. Without encryption there is nothing to remember.
func (s *step) sealed(job *stages.Job, p *oci.Package) *sealed {
	if s.config.Encrypt == nil || job.Cache == "" {
		return &sealed{}
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%+v %q %q %s %s %s\n", *s.config.Encrypt, s.config.Format, p.Images, p.Date, p.Source, p.Revision)
	sum.Write(p.Manifests)
	name := sha256.Sum256([]byte(s.config.URL))
	now := &sealed{Input: hex.EncodeToString(sum.Sum(nil)), file: filepath.Join(job.Cache, "artifact-"+hex.EncodeToString(name[:])[:12]+".json")}
	// Whatever can't be read tells nothing, and the content is pushed again.
	var last sealed
	if text, err := os.ReadFile(now.file); err == nil && json.Unmarshal(text, &last) == nil && last.Input == now.Input {
		now.Digest = last.Digest
	}
	return now
}

// remember keeps what was pushed.
func (s *sealed) remember(digest string) error {
	if s.file == "" {
		return nil
	}
	s.Digest = digest
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	const mode, dirMode = 0o600, 0o700
	if err := os.MkdirAll(filepath.Dir(s.file), dirMode); err != nil {
		return err
	}
	return os.WriteFile(s.file, text, mode)
}
