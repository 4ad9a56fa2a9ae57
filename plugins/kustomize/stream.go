package kustomize

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// streamFile is the name under which kustomize sees the manifests so far.
const streamFile = ".manifests-so-far.yaml"

// divide divides manifests into those that can be resources, nil if there are none, and those without
// a name, in the form of what follows a stream.
func divide(manifests []byte) (resources, others []byte, err error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests)))
	for i := 1; ; i++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return resources, others, nil
		}
		if err != nil {
			return nil, nil, err
		}
		// The reader leaves the separator before the first document.
		doc = bytes.TrimPrefix(doc, []byte("---\n"))
		var head struct {
			Metadata struct {
				Name         string `yaml:"name"`
				GenerateName string `yaml:"generateName"`
			} `yaml:"metadata"`
			Items []yaml.Node `yaml:"items"`
		}
		var content any
		if err := yaml.Unmarshal(doc, &content); err != nil {
			return nil, nil, fmt.Errorf("document %d: %w", i, err)
		}
		if content == nil {
			continue
		}
		// Documents of other forms than this one have no name either.
		_ = yaml.Unmarshal(doc, &head)
		to := &others
		if head.Metadata.Name != "" || head.Metadata.GenerateName != "" || head.Items != nil {
			to = &resources
		}
		*to = append(*to, "---\n"...)
		*to = append(append(*to, bytes.TrimSpace(doc)...), '\n')
	}
}

// withResource adds the manifests so far to a kustomization, before its own resources.
func withResource(data []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return data, nil //nolint:nilerr // kustomize says what is wrong with it
	}
	entry := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: streamFile}
	k := doc.Content[0]
	for i := 0; i+1 < len(k.Content); i += 2 {
		if k.Content[i].Value == "resources" && k.Content[i+1].Kind == yaml.SequenceNode {
			list := k.Content[i+1]
			list.Content = append([]*yaml.Node{entry}, list.Content...)
			return yaml.Marshal(&doc)
		}
	}
	k.Content = append(k.Content,
		&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "resources"},
		&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{entry}})
	return yaml.Marshal(&doc)
}
