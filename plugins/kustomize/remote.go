package kustomize

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// pathKeys are the fields, of kustomizations and of the configurations of kustomize's own generators
// and transformers, whose texts are paths or URLs. Anything below them is looked at.
var pathKeys = []string{
	"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators",
	"patchesStrategicMerge", "openapi", "path", "paths", "files", "env", "envs", "valuesFile", "additionalValuesFiles",
}

// checkLocal refuses a kustomization, or the configuration of one of kustomize's own plugins, that
// names anything remote.
func checkLocal(name string, data []byte) error {
	c := &checker{file: name, visits: maxVisits}
	return c.documents(string(data), slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(name)))
}

// maxVisits is how many values of a file are looked at: aliases of aliases may stand for any number.
const maxVisits = 100_000

type checker struct {
	file   string
	visits int
}

func (c *checker) documents(text string, isKustomization bool) error {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return nil //nolint:nilerr // kustomize says what is wrong with it
		}
		if isKustomization || isBuiltin(&doc) {
			if err := c.node(&doc, false); err != nil {
				return err
			}
		}
	}
}

// isBuiltin tells whether a document configures a plugin of kustomize's own.
func isBuiltin(doc *yaml.Node) bool {
	var head struct {
		APIVersion string `yaml:"apiVersion"`
	}
	return doc.Decode(&head) == nil && head.APIVersion == "builtin"
}

// node looks for remote names below the path keys.
func (c *checker) node(n *yaml.Node, isPath bool) error {
	if c.visits--; c.visits < 0 {
		return fmt.Errorf("%s: has too many values, counting aliases", c.file)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.node(n.Alias, isPath)
	case yaml.ScalarNode:
		if isPath {
			return c.text(n)
		}
		return nil
	}
	for i, child := range n.Content {
		below := isPath
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			below = isPath || slices.Contains(pathKeys, n.Content[i-1].Value)
		}
		if err := c.node(child, below); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) text(n *yaml.Node) error {
	if strings.Contains(n.Value, "\n") {
		// What stands in the kustomization itself, such as a patch or the configuration of a transformer.
		return c.documents(n.Value, false)
	}
	if !isRemote(n.Value) {
		return nil
	}
	d := schema.Diagnostic{
		Pos: schema.Pos{File: c.file, Line: n.Line, Column: n.Column},
		Msg: withoutPassword(n.Value) + " is remote, and nothing is read from the network while templating",
	}
	return stages.WithHint(d, "fetch it, with a git or http entry under fetch, and name its folder instead")
}

var (
	// userAtHost is how repositories are named that are reached by ssh.
	userAtHost = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)
	// fileOption is what stands before a file of a generator that gives it another key.
	fileOption = regexp.MustCompile(`^[^=/]+=`)
)

// isRemote tells whether kustomize would take a text for the name of a repository or a web page. Some
// that it wouldn't are refused too, such as a folder that is called github.com.
func isRemote(text string) bool {
	for _, t := range []string{text, fileOption.ReplaceAllString(text, "")} {
		lower := strings.ToLower(t)
		for _, prefix := range []string{"git::", "ssh://", "http:", "https:", "file://", "github.com/", "github.com:"} {
			if strings.HasPrefix(lower, prefix) {
				return true
			}
		}
		if userAtHost.MatchString(t) {
			return true
		}
	}
	return false
}

// withoutPassword returns a URL as it may be shown.
func withoutPassword(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
