package schema

import (
	_ "embed" // for the schemas
	"fmt"
	"strings"
)

// The schemas are generated from the Go types of this package and of the plugins.
//
//go:generate go run strake.dev/strake/internal/schemagen
var (
	//go:embed app.schema.json
	appSchema []byte
	//go:embed pipeline.schema.json
	pipelineSchema []byte
	//go:embed signaturepolicy.schema.json
	policySchema []byte
	//go:embed events.schema.json
	eventsSchema []byte
	//go:embed plugin.schema.json
	pluginSchema []byte
)

// JSONSchemaKinds lists the kinds of file that there is a JSON Schema for. Events are the lines of --output json,
// and plugin is for the lines that executable plugins read and write.
func JSONSchemaKinds() []string {
	return []string{"app", "pipeline", "signaturepolicy", "events", "plugin"}
}

// JSONSchema returns the JSON Schema (draft 2020-12) of a kind of file. That of a file of users describes the file with the
// plugins that strake comes with, and what a schema can say: [Load] and the plugins check more.
func JSONSchema(kind string) ([]byte, error) {
	switch kind {
	case "app":
		return appSchema, nil
	case "pipeline":
		return pipelineSchema, nil
	case "signaturepolicy":
		return policySchema, nil
	case "events":
		return eventsSchema, nil
	case "plugin":
		return pluginSchema, nil
	default:
		return nil, fmt.Errorf("no JSON Schema for %q: expected one of %s", kind, strings.Join(JSONSchemaKinds(), ", "))
	}
}
