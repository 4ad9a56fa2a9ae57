package buildkit

import (
	"context"
	"slices"

	"github.com/containerd/platforms"
)

// A Description is what a daemon tells of itself.
type Description struct {
	Version string
	Workers int
	// Platforms are those that it builds for, in the form linux/arm64.
	Platforms []string
}

// Describe asks a daemon what it is.
func (c *Client) Describe(ctx context.Context, d Daemon) (Description, error) {
	conn, err := c.connect(ctx, d)
	if err != nil {
		return Description{}, err
	}
	defer conn.Close()
	var result Description
	err = conn.during(ctx, func(ctx context.Context) error {
		info, err := conn.Info(ctx)
		if err != nil {
			return plain(err)
		}
		workers, err := conn.ListWorkers(ctx)
		if err != nil {
			return plain(err)
		}
		result.Version, result.Workers = info.BuildkitVersion.Version, len(workers)
		for _, w := range workers {
			for _, p := range w.Platforms {
				if text := platforms.Format(platforms.Normalize(p)); !slices.Contains(result.Platforms, text) {
					result.Platforms = append(result.Platforms, text)
				}
			}
		}
		return nil
	})
	return result, err
}
