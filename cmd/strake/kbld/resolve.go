package kbld

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"
	kbldlogger "carvel.dev/kbld/pkg/kbld/logger"
	kbldregistry "carvel.dev/kbld/pkg/kbld/registry"
	"carvel.dev/kbld/pkg/kbld/resources"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/plugins/kbld"
)

// options reads the flags of the command without a name. The library gives nobody the struct that it
// has bound them to.
func options(flags *pflag.FlagSet) (*kbldcmd.ResolveOptions, error) {
	o := &kbldcmd.ResolveOptions{}
	var failed []error
	read := func(err error) { failed = append(failed, err) }
	var err error
	o.FileFlags.Files, err = flags.GetStringSlice("file")
	read(err)
	o.RegistryFlags.CACertPaths, err = flags.GetStringSlice("registry-ca-cert-path")
	read(err)
	o.RegistryFlags.VerifyCerts, err = flags.GetBool("registry-verify-certs")
	read(err)
	o.RegistryFlags.Insecure, err = flags.GetBool("registry-insecure")
	read(err)
	o.AllowedToBuild, err = flags.GetBool("build")
	read(err)
	o.BuildConcurrency, err = flags.GetInt("build-concurrency")
	read(err)
	o.ImagesAnnotation, err = flags.GetBool("images-annotation")
	read(err)
	o.OriginsAnnotation, err = flags.GetBool("origins-annotation")
	read(err)
	o.ImageMapFile, err = flags.GetString("image-map-file")
	read(err)
	o.LockOutput, err = flags.GetString("lock-output")
	read(err)
	o.ImgpkgLockOutput, err = flags.GetString("imgpkg-lock-output")
	read(err)
	o.UnresolvedInspect, err = flags.GetBool("unresolved-inspect")
	read(err)
	o.Platform, err = flags.GetString("platform")
	read(err)
	return o, errors.Join(failed...)
}

// resolve is what kbld does without the name of a command.
func (c *command) resolve(cmd *cobra.Command, _ []string) error {
	ctx := cmd.Context()
	o, err := options(cmd.Flags())
	if err != nil {
		return err
	}
	switch {
	case o.ImgpkgLockOutput != "" && o.LockOutput != "":
		return errors.New("Can only output one lockfile type, please provide only one of '--lock-output' or '--imgpkg-lock-output'") //nolint:staticcheck // kbld's words
	case o.BuildConcurrency < 1:
		// The library would wait for ever.
		return fmt.Errorf("--build-concurrency %d: expected at least 1", o.BuildConcurrency)
	}
	log := kbldlogger.NewLogger(c.Stderr)
	plan, err := c.read(ctx, o, log)
	if err != nil {
		return err
	}
	if o.UnresolvedInspect {
		return c.inspect(plan)
	}
	done, err := c.settle(ctx, o, plan, log)
	if err != nil {
		return err
	}
	lines := log.NewPrefixedWriter("resolve | ")
	for _, i := range done.Images() {
		if err := lines.WriteStr("final: %s -> %s\n", i.From, i.To); err != nil {
			return err
		}
	}
	if err := writeLock(o, &done.Record); err != nil {
		return err
	}
	docs, err := done.Documents(o.ImagesAnnotation)
	if err != nil {
		return fmt.Errorf("Updating resource references: %w", err) //nolint:staticcheck // kbld's words
	}
	for _, doc := range docs {
		c.ui.PrintBlock(append([]byte("---\n"), doc...))
	}
	return nil
}

// read reads the input. It returns when ctx ends, although somebody at a terminal may never end it.
func (c *command) read(ctx context.Context, o *kbldcmd.ResolveOptions, log kbldlogger.Logger) (*kbld.Command, error) {
	if !o.AllowedToBuild && hook.Enabled(c.Getenv) {
		if err := hook.CheckPaths(o.FileFlags.Files); err != nil {
			return nil, err
		}
	}
	type result struct {
		docs []resources.Resource
		err  error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: fmt.Errorf("reading the input: %v", p)}
			}
		}()
		docs, err := o.FileFlags.AllResources()
		done <- result{docs, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r.err != nil {
		return nil, r.err
	}
	request := kbld.Request{
		Documents: r.docs, NoBuild: !o.AllowedToBuild, RelativeOrigins: c.Getenv("SOURCE_DATE_EPOCH") != "",
		Cache: cacheFolder(), Events: &printer{log: log, clean: c.clean}, Hide: c.hide,
	}
	err := c.enable(o, &request)
	if err != nil {
		return nil, err
	}
	if request.Images, err = readImageMap(o.ImageMapFile); err != nil {
		return nil, err
	}
	if len(o.RegistryFlags.CACertPaths) > 0 {
		// In kbld's words, and also when no registry is asked.
		if _, err := kbldregistry.NewRegistry(o.RegistryFlags.AsRegistryOpts()); err != nil {
			return nil, err
		}
	}
	if o.Platform != "" {
		if request.Platform, err = kbldcmd.NewPlatformSelection(o.Platform); err != nil {
			return nil, err
		}
	}
	return kbld.NewCommand(request)
}

// readImageMap reads a JSON object that maps references to images.
func readImageMap(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var images map[string]string
	return images, json.Unmarshal(data, &images)
}

// cacheFolder is where builds keep what only makes them faster; empty if the user has no such place.
func cacheFolder() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "strake", "kbld")
}

// inspect prints the references of the input.
func (c *command) inspect(plan *kbld.Command) error {
	refs, err := plan.References()
	if err != nil {
		return err
	}
	found := kbldcmd.NewUnprocessedImageURLs()
	for _, ref := range refs {
		found.Add(kbldcmd.UnprocessedImageURL{URL: ref})
	}
	text, err := found.Bytes()
	if err != nil {
		return err
	}
	c.ui.PrintBlock(text)
	return nil
}

// settle resolves and builds.
func (c *command) settle(ctx context.Context, o *kbldcmd.ResolveOptions, plan *kbld.Command, log kbldlogger.Logger) (*kbld.Resolution, error) {
	deps, err := c.Deps(o.RegistryFlags, c.policy)
	if err != nil {
		return nil, err
	}
	deps.Builds = o.BuildConcurrency
	if c.policy == nil {
		deps.Builder = &builder{Builder: deps.Builder, log: log, clean: c.clean}
	}
	return plan.Resolve(ctx, deps)
}

// writeLock writes the lock file that the flags name, as the library does: a pipe or a device is fine.
func writeLock(o *kbldcmd.ResolveOptions, done *kbld.Record) error {
	var text []byte
	var err error
	file, what := o.LockOutput, "lock"
	switch {
	case o.LockOutput != "":
		text, err = done.LockConfig()
	case o.ImgpkgLockOutput != "":
		file, what = o.ImgpkgLockOutput, "images"
		text, err = done.ImagesLock(o.OriginsAnnotation)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("Writing %s config: %w", what, err) //nolint:staticcheck // kbld's words
	}
	return nil
}
