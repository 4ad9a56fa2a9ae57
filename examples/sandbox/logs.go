package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// pollLog is how often a followed log is looked at.
const pollLog = 200 * time.Millisecond

func newLogs(g *global) *cobra.Command {
	var follow bool
	command := &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "Print the log of one component, or of all",
		Long: `Logs prints the log of a component, or those of all with the component's name before each line. The
component "audit" is the API server's record of requests that may write.`,
		Example: `  sandbox logs kubelet
  sandbox logs --follow`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			files, err := s.LogFiles()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return g.printLogs(cmd.Context(), files, follow)
			}
			path, found := files[args[0]]
			if !found {
				return fmt.Errorf("no log of %q; there are: %s", args[0], strings.Join(slices.Sorted(maps.Keys(files)), ", "))
			}
			return copyLines(cmd.Context(), path, follow, func(line string) error {
				_, err := io.WriteString(g.out, line)
				return err
			})
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added, until interrupted")
	return command
}

// printLogs prints several logs: one after another, or all at once if they are followed.
func (s streams) printLogs(ctx context.Context, files map[string]string, follow bool) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	if !follow {
		group.SetLimit(1)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		group.Go(func() error {
			return copyLines(ctx, files[name], follow, func(line string) error {
				mu.Lock()
				defer mu.Unlock()
				_, err := fmt.Fprintf(s.out, "%-18s | %s", name, line)
				return err
			})
		})
	}
	return group.Wait()
}

// copyLines gives each line of a file to emit, with its newline. Following ends without an error
// when ctx does.
func copyLines(ctx context.Context, path string, follow bool, emit func(line string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	reader := bufio.NewReader(file)
	var begun string // of a line whose end is not written yet
	for {
		text, err := reader.ReadString('\n')
		begun += text
		switch {
		case err == nil:
			if err := emit(begun); err != nil {
				return err
			}
			begun = ""
			continue
		case !errors.Is(err, io.EOF):
			return err
		case !follow && begun != "":
			return emit(begun + "\n")
		case !follow:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollLog):
		}
	}
}
