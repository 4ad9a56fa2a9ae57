package vendir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	imgpkgregistry "carvel.dev/imgpkg/pkg/imgpkg/registry"
	"carvel.dev/imgpkg/pkg/imgpkg/registry/auth"
	imgpkg "carvel.dev/imgpkg/pkg/imgpkg/v1"
	vendircmd "carvel.dev/vendir/pkg/vendir/cmd"
	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/plugins/vendir/sync"
)

// flags are those of vendir sync.
type flags struct {
	files, directories     []string
	lockFile, chdir        string
	locked, lazy, anyLinks bool
	ui                     vendircmd.UIFlags
}

// flagsOf reads the flags of the library's own command.
func flagsOf(cmd *cobra.Command) (flags, error) {
	var f flags
	var errs [12]error
	set := cmd.Flags()
	f.files, errs[0] = set.GetStringSlice("file")
	f.lockFile, errs[1] = set.GetString("lock-file")
	f.directories, errs[2] = set.GetStringSlice("directory")
	f.locked, errs[3] = set.GetBool("locked")
	f.lazy, errs[4] = set.GetBool("lazy")
	f.chdir, errs[5] = set.GetString("chdir")
	f.anyLinks, errs[6] = set.GetBool("dangerous-allow-all-symlink-destinations")
	f.ui.TTY, errs[7] = set.GetBool("tty")
	f.ui.Color, errs[8] = set.GetBool("color")
	f.ui.JSON, errs[9] = set.GetBool("json")
	f.ui.NonInteractive, errs[10] = set.GetBool("yes")
	f.ui.Columns, errs[11] = set.GetStringSlice("column")
	return f, errors.Join(errs[:]...)
}

// A syncCommand is one call of vendir sync. What it prints, and in which order, is vendir's.
type syncCommand struct {
	Program
	ui    ui.UI
	flags flags
}

const defaultConfig = "vendir.yml"

func (s *syncCommand) run(ctx context.Context) error {
	if s.flags.chdir != "" {
		if err := os.Chdir(s.flags.chdir); err != nil {
			return fmt.Errorf("Running chdir: %w", err) //nolint:staticcheck // vendir's words
		}
	}
	conf, secrets, configMaps, err := vendirconf.NewConfigFromFiles(s.flags.files)
	if err != nil {
		return s.hinted(err)
	}
	usesLocal, err := s.choose(&conf)
	if err != nil {
		return err
	}
	lock, err := vendirconf.NewLockConfigFromFile(s.flags.lockFile)
	if err != nil && s.flags.locked {
		return err
	}
	if s.flags.locked {
		if err := conf.Lock(lock); err != nil {
			return err
		}
		if err := s.print("Config with locks", conf.AsBytes); err != nil {
			return err
		}
	}
	deps, err := s.deps()
	if err != nil {
		return err
	}
	told := &narrator{ui: s.ui}
	partial := len(s.flags.directories) > 0
	synced, err := sync.New(deps).Sync(ctx, conf, sync.Options{
		Dir: ".", Objects: sync.Objects(secrets, configMaps, nil), Events: told, Lock: lock, Lazy: s.flags.lazy,
		Partial: partial, AnyLinks: s.flags.anyLinks, Announce: told.announce,
		// kapp-controller has a new folder for each sync, and wants no lock file.
		Once: s.flags.lockFile == os.DevNull,
	})
	if err != nil {
		return err
	}
	if partial {
		switch _, err := os.Stat(s.flags.lockFile); {
		case err == nil:
			merged, err := vendirconf.NewLockConfigFromFile(s.flags.lockFile)
			if err != nil {
				return err
			}
			if err := merged.Merge(synced); err != nil {
				return err
			}
			synced = merged
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if err := s.print("Lock config", synced.AsBytes); err != nil {
		return err
	}
	if usesLocal {
		s.ui.PrintLinef("Lock config is not saved to '%s' due to command line overrides", s.flags.lockFile)
		return nil
	}
	return synced.WriteToFile(s.flags.lockFile)
}

func (s *syncCommand) print(title string, text func() ([]byte, error)) error {
	b, err := text()
	if err != nil {
		return err
	}
	s.ui.PrintLinef("%s", title)
	s.ui.PrintBlock(b)
	return nil
}

// hinted is the error of a configuration that can't be read.
func (s *syncCommand) hinted(err error) error {
	if len(s.flags.files) != 1 || s.flags.files[0] != defaultConfig {
		return err
	}
	if _, serr := os.Stat(defaultConfig); !errors.Is(serr, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w (hint: Did you name your configuration file something different than 'vendir.yml', e.g. wrong extension?)", err)
}

// choose leaves only what --directory names in the configuration, with local folders instead of sources
// where it says so.
func (s *syncCommand) choose(conf *vendirconf.Config) (usesLocal bool, err error) {
	var paths []string
	for _, value := range s.flags.directories {
		path, local, is := strings.Cut(value, "=")
		paths = append(paths, path)
		if !is || local == "" {
			continue
		}
		usesLocal = true
		if local, err = expandHome(local); err != nil {
			return false, err
		}
		if err := conf.UseDirectory(path, local); err != nil {
			return false, fmt.Errorf("Overriding '%s' with local directory: %w", path, err) //nolint:staticcheck // vendir's words
		}
	}
	if len(paths) == 0 {
		return false, nil
	}
	if *conf, err = conf.Subset(paths); err != nil {
		return false, err
	}
	return usesLocal, s.print("Config with overrides", conf.AsBytes)
}

func expandHome(dir string) (string, error) {
	rest, ok := strings.CutPrefix(dir, "~")
	if !ok {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("Expanding user home directory: %w", err) //nolint:staticcheck // vendir's words
	}
	return filepath.Join(home, rest), nil
}

// deps are what the sources need, according to the variables that vendir and imgpkg know.
func (s *syncCommand) deps() (source.Deps, error) {
	opts := imgpkg.OptsFromEnv(imgpkgregistry.Opts{}, os.LookupEnv)
	keychain, err := imgpkgregistry.Keychain(auth.KeychainOpts{
		Username: opts.Username, Password: opts.Password, Token: opts.Token, Anon: opts.Anon,
		EnableIaasAuthProviders: opts.EnableIaasAuthProviders, ActiveKeychains: opts.ActiveKeychains,
	}, os.Environ)
	if err != nil {
		return source.Deps{}, err
	}
	client, err := registry.New(registry.Options{UserAgent: s.UserAgent})
	if err == nil {
		client, err = client.WithKeychain(keychain)
	}
	if err != nil {
		return source.Deps{}, err
	}
	// kapp-controller gives each App a folder of its own.
	dir := s.Getenv("VENDIR_CACHE_DIR")
	if dir != "" {
		dir = filepath.Join(dir, "strake")
	}
	store, err := s.Cache(dir)
	if err != nil {
		return source.Deps{}, err
	}
	return source.Deps{
		Registry: client, UserAgent: s.UserAgent, Cache: store, GitHubToken: s.Getenv("VENDIR_GITHUB_API_TOKEN"),
		KeepGit: true, AnyLinks: s.flags.anyLinks,
	}, nil
}
