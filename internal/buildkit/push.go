package buildkit

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

// place puts a fetched image where it should go.
func (j *job) place(ctx context.Context, image *fetched) error {
	wrap := func(where string, err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("build of %s: %s: %w", j.out.Name, where, err)
	}
	if j.out.Layout != "" {
		if err := image.addTo(ctx, j.out.Layout, j.out.Tag); err != nil {
			return wrap("OCI layout "+j.out.Layout, err)
		}
	}
	if j.out.Archive != "" {
		if err := image.archive(ctx, j.out.Archive, j.out.Tag); err != nil {
			return wrap("archive "+j.out.Archive, err)
		}
	}
	if j.out.Through == nil || len(j.out.Push) == 0 {
		return nil
	}
	content, err := image.taggable()
	if err != nil {
		return wrap("push", err)
	}
	for _, tag := range j.out.Push {
		if err := j.push(ctx, tag, content, image.desc.Digest.String()); err != nil {
			err = wrap("push to "+tag.Name(), err)
			if registry.Denied(err) {
				err = stages.WithHint(err, "%s", j.out.loginHint())
			}
			return err
		}
	}
	return nil
}

// push pushes what the registry doesn't have yet, and makes sure that the tag is the image then.
func (j *job) push(ctx context.Context, tag name.Tag, content remote.Taggable, digest string) error {
	task := stages.Task{ID: j.out.Name + " push " + tag.Name(), Name: j.out.Name + " pushing to " + tag.Name(), Kind: stages.TaskTransfer, State: stages.TaskRunning}
	tell := func(state string) {
		t := task
		t.State = state
		j.events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &t})
	}
	tell(stages.TaskRunning)
	err := j.out.Through.Push(ctx, tag, content)
	if err == nil {
		err = j.confirm(ctx, tag, digest)
	}
	if err != nil {
		tell(stages.TaskFailed)
		return err
	}
	tell(stages.TaskDone)
	return nil
}

func (j *job) confirm(ctx context.Context, tag name.Tag, digest string) error {
	got, err := j.out.Through.Get(ctx, tag)
	if err != nil {
		return err
	}
	if got.Digest.String() != digest {
		return fmt.Errorf("the registry has %s after the push of %s", got.Digest, digest)
	}
	return nil
}
