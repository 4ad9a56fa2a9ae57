package exec

import (
	"encoding/json"
	"fmt"
	"sync"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

// Plugins returns the plugin “exec” of each stage.
func Plugins(host *extension.Host) []stages.Plugin {
	var all []stages.Plugin
	for _, stage := range stages.All() {
		all = append(all, stages.Define(stages.Plugin{
			Stage:   stage,
			Name:    "exec",
			Doc:     "Runs a plugin that is an executable, if it is allowed, confined to what the step names.",
			Version: protocol.V1,
		}, func(c Config) (stages.Step, error) { return bind(host, stage, c) }))
	}
	return all
}

// bind makes a step. What it can is found out when it is asked.
func bind(host *extension.Host, stage stages.Stage, c Config) (stages.Step, error) {
	s := &step{host: host, stage: stage, config: c, with: json.RawMessage("null")}
	if c.With != nil {
		value, err := c.With.Value()
		if err != nil {
			return nil, err
		}
		if s.with, err = json.Marshal(value); err != nil {
			return nil, c.With.Errorf("can't be handed on as JSON: %v", err)
		}
		if len(s.with) > protocol.MaxLine/2 {
			return nil, c.With.Errorf("has %d bytes as JSON, expected at most %d", len(s.with), protocol.MaxLine/2)
		}
	}
	switch stage {
	case stages.Deploy:
		return &deployStep{changer{s}}, nil
	case stages.Build, stages.Publish:
		return &changer{s}, nil
	default:
		return s, nil
	}
}

type step struct {
	host   *extension.Host
	stage  stages.Stage
	config Config
	with   json.RawMessage

	mu sync.Mutex
	// hello is what the executable has said of itself; nil before it was asked.
	hello *protocol.PluginHello
}

// A changer can tell what it would change outside of the workspace, if its executable can.
type changer struct{ *step }

// A deployStep can delete what it has deployed, if its executable can.
type deployStep struct{ changer }

func (s *step) ref() extension.Ref {
	return extension.Ref{Plugin: s.config.Plugin, Path: s.config.Path}
}

// Folder is where the source of a fetch step goes.
func (s *step) Folder() string { return s.config.Folder }

// wrap names the plugin in an error.
func (s *step) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("plugin %s: %w", s.ref(), err)
}

// source is the lock's entry for what a fetch step has fetched.
func source(folder, digest string) schema.LockedSource {
	l := schema.LockedSource{Digest: "sha256:" + digest}
	l.Path = folder
	l.Manual = &manual
	return l
}
