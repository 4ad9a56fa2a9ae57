package cli

import (
	"fmt"

	"github.com/moby/sys/atomicwriter"
	"github.com/spf13/cobra"

	"strake.dev/strake/plugins/kbld"
)

// lockOutputFlags name files for a run's images in the forms that kbld writes.
type lockOutputFlags struct{ config, images string }

func (f *lockOutputFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "lock-output", "", "also write the images to `FILE` as a kbld Config, for kbld and other Apps to read")
	cmd.Flags().StringVar(&f.images, "imgpkg-lock-output", "", "also write the images to `FILE` as an ImagesLock, for imgpkg and kbld to read")
}

func (f *lockOutputFlags) check(cmd *cobra.Command) error {
	if f.config != "" && f.images != "" {
		return usagef(cmd, "--lock-output and --imgpkg-lock-output can't be given together")
	}
	return nil
}

// write writes the file, whole and at once.
func (f *lockOutputFlags) write(images *kbld.Record) error {
	file, text := f.config, images.LockConfig
	if f.images != "" {
		file, text = f.images, func() ([]byte, error) { return images.ImagesLock(true) }
	}
	if file == "" {
		return nil
	}
	data, err := text()
	if err == nil {
		err = atomicwriter.WriteFile(file, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("lock output %s: %w", file, err)
	}
	return nil
}
