package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/plugins/vendir/source"
)

// configOf gives a content the form that an App's entry of that path has. Their fields have the same names.
func configOf(c vendirconf.DirectoryContents, path string) (source.Config, error) {
	var config source.Config
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		return config, fmt.Errorf("reading the configuration: %w", err)
	}
	config.Path = path
	return config, nil
}

// digestOf is the digest of a content's configuration by which vendir knows lazy contents again.
func digestOf(c vendirconf.DirectoryContents) (string, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("the configuration of contents '%s': %w", c.Path, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// kindWords are what vendir calls a kind of contents in its messages.
func kindWords(kind string) string {
	switch kind {
	case "http":
		return "HTTP"
	case "githubRelease":
		return "github release"
	case "helmChart":
		return "helm chart"
	default:
		return kind
	}
}
