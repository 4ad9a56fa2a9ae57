package kapp

import (
	"fmt"
	"strings"

	cmdapp "carvel.dev/kapp/pkg/kapp/cmd/app"
	"carvel.dev/kapp/pkg/kapp/logger"

	"strake.dev/strake/stages"
)

// exists tells whether the app's record is there.
func (s *session) exists(app cmdapp.Flags) (bool, error) {
	var found bool
	err := call(s.ctx, func() error {
		recorded, _, err := cmdapp.Factory(s.clients, app, cmdapp.ResourceTypesFlags{}, logger.NewNoopLogger())
		if err != nil {
			return err
		}
		found, _, err = recorded.Exists()
		return err
	})
	return found, s.explain(err, nil)
}

// delete removes the objects of the app, then its record.
func (s *session) delete() error {
	out := newScreen(s.events)
	f, err := s.prepare(out)
	if err != nil {
		return err
	}
	there, err := s.exists(f.delete.AppFlags)
	if err != nil {
		return err
	}
	if !there {
		stages.Log(s.events, fmt.Sprintf("app %s is not deployed in namespace %s: nothing to delete", s.target.app, s.target.record))
		return nil
	}
	f.delete.DiffFlags.Changes, f.delete.DiffFlags.ChangesYAML = false, false
	err = call(s.ctx, f.delete.Run)
	if err != nil && s.ctx.Err() == nil && strings.HasPrefix(err.Error(), "Deleting app") {
		// The record goes together with its namespace when that is an object of the app.
		if there, again := s.exists(f.delete.AppFlags); again == nil && !there {
			err = nil
		}
	}
	out.finish(err)
	return s.explain(err, out)
}
