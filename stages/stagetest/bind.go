package stagetest

import (
	"errors"
	"strings"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// unknownField is a key that no plugin knows.
const unknownField = "aFieldThatNoPluginHas"

// checkNilConfig checks that no configuration at all is either fine or a problem of the configuration.
func checkNilConfig(t testing.TB, plugin stages.Plugin) {
	t.Helper()
	step, err := plugin.New(nil)
	switch {
	case err == nil && step == nil:
		t.Errorf("New without configuration: neither a step nor an error")
	case err != nil && len(diagnostics(err)) == 0:
		t.Errorf("New without configuration: expected schema.Diagnostics, found %T: %v", err, err)
	}
}

// checkUnknownField adds a field to the configuration and expects to be told its place.
func checkUnknownField(t testing.TB, plugin stages.Plugin, config string) {
	t.Helper()
	if node := Node(t, config); node == nil || len(node.Pairs()) == 0 {
		config = "{}"
	}
	if flow, ok := strings.CutPrefix(strings.TrimSpace(config), "{"); ok {
		config = "{" + unknownField + ": 1, " + flow
	} else {
		config = unknownField + ": 1\n" + config
	}
	_, err := plugin.New(Node(t, config))
	if err == nil {
		t.Errorf("New accepted the unknown field %s", unknownField)
		return
	}
	for _, d := range diagnostics(err) {
		if strings.Contains(d.Error(), unknownField) && d.Pos.File == ConfigFile && d.Pos.Line == 1 && d.Pos.Column > 0 {
			return
		}
	}
	t.Errorf("New: expected a diagnostic for %s at its file, line and column, found: %v", unknownField, err)
}

// RunBad checks that the plugin refuses each configuration with a message that has the place.
func RunBad(t *testing.T, plugin stages.Plugin, bad ...BadConfig) {
	t.Helper()
	for _, b := range bad {
		t.Run(b.Name, func(t *testing.T) { checkBad(t, plugin, b) })
	}
}

func checkBad(t testing.TB, plugin stages.Plugin, b BadConfig) {
	t.Helper()
	_, err := plugin.New(Node(t, b.Config))
	if err == nil {
		t.Fatalf("New: expected an error with %q, found none", b.Want)
	}
	if !strings.Contains(err.Error(), b.Want) {
		t.Errorf("New: expected an error with %q, found: %v", b.Want, err)
	}
	found := diagnostics(err)
	if len(found) == 0 {
		t.Errorf("New: expected schema.Diagnostics, found %T", err)
	}
	for _, d := range found {
		if d.Pos.File != ConfigFile || d.Pos.Line == 0 || d.Pos.Column == 0 {
			t.Errorf("New: expected file, line and column, found: %v", d)
		}
	}
}

func diagnostics(err error) schema.Diagnostics {
	if many, ok := errors.AsType[schema.Diagnostics](err); ok {
		return many
	}
	if one, ok := errors.AsType[schema.Diagnostic](err); ok {
		return schema.Diagnostics{one}
	}
	return nil
}
