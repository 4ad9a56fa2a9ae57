package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"strake.dev/strake/examples/sandbox/internal/cgroup"
	"strake.dev/strake/examples/sandbox/internal/mount"
	"strake.dev/strake/examples/sandbox/internal/network"
	"strake.dev/strake/examples/sandbox/internal/proc"
)

// Down stops all that the instance runs and gives back all that it has of the host. Its data stays,
// unless purge is set. It goes by names that follow from the instance's ID rather than by its state,
// so that it also clears up after an Up or Down that was killed.
func (s *Sandbox) Down(ctx context.Context, purge bool) error {
	release, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer release()

	// What starts containers and processes goes before what it has started.
	if err := s.stopDaemons(ctx, "kubelet", "kwok", "controller-manager", "scheduler", "buildkitd"); err != nil {
		return err
	}
	if err := s.killContainers(ctx); err != nil {
		return err
	}
	if err := s.stopDaemons(ctx, "containerd", "apiserver", "registry"); err != nil {
		return err
	}
	if err := s.stopDaemons(ctx, "etcd"); err != nil {
		return err
	}
	if err := s.killMarked(ctx); err != nil {
		return err
	}
	if err := s.releaseHost(ctx); err != nil {
		return err
	}
	if purge {
		if err := os.RemoveAll(s.Dir); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return s.RemoveLock()
}

// stopDaemons stops daemons by their records, side by side.
func (s *Sandbox) stopDaemons(ctx context.Context, names ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			daemon := s.recorded(name)
			record, _, err := daemon.Load()
			if err != nil {
				return err
			}
			if err := record.Stop(ctx, stopGrace); err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
			if err := os.Remove(daemon.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("forget %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// killContainers ends every process in the instance's control group. Containers may start others
// while that goes on, so it is done until none is left.
func (s *Sandbox) killContainers(ctx context.Context) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		pids, err := cgroup.Processes(s.cgroup())
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of containers don't end", len(pids))
		}
		for _, pid := range pids {
			record, err := proc.Identify(pid)
			if err != nil {
				continue // ended meanwhile
			}
			if err := record.Kill(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// killMarked ends what the instance's daemons have left behind, as the shims of containers, and
// daemons without a record.
func (s *Sandbox) killMarked(ctx context.Context) error {
	found, err := proc.Marked(s.marker())
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range found {
		group.Go(func() error { return f.Kill(ctx) })
	}
	return group.Wait()
}

// releaseHost removes what the instance has outside its folder, and what can't outlive its containers.
func (s *Sandbox) releaseHost(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return os.RemoveAll(s.Run)
	}
	if err := errors.Join(mount.RemoveBelow(s.Dir), mount.RemoveBelow(s.Run)); err != nil {
		return err
	}
	net := &network.Network{Name: s.networkName(), Bridge: s.bridge()}
	return errors.Join(
		s.removeLeftovers(),
		cgroup.Remove(s.cgroup()),
		net.Remove(ctx),
		os.RemoveAll(s.Path("containerd", "ipam")),
		os.RemoveAll(s.Run),
	)
}
