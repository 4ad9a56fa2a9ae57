// Package sync brings folders up to date with what a vendir configuration says
// (https://carvel.dev/vendir/docs/latest/vendir-spec/): the same trees and the same lock as vendir's own.
//
// What can be fetched at the same time is. Everything is put together in a folder beside, checked, and then
// takes the place of what was there, each folder in one step of the file system; so a sync that fails or is
// killed leaves each folder as it was or as it is to be. One that is killed between two folders is completed
// by the next. What has not changed, neither at its source nor in its folder, is left as it is.
//
// Where the result differs from vendir's, on purpose:
//
//   - Content that vendir would write outside of its folder is an error, as are devices and setuid bits; see
//     package unpack.
//   - Archives keep their executable bits and inner links.
//   - The layers of an image lie one on top of the other. With vendir the lowest one wins.
//   - Manual content is there at any time, also when a sync fails.
//   - Symbolic links are checked before anything is replaced.
//   - A file that isn't unpacked gets its name from the path of the URL, without the query.
//   - A file on a web server may be empty.
//   - With a depth, the lock's tags are those that sit on the commit itself.
//   - The .git that is left has its HEAD at the commit, and not at a branch; ref: HEAD is the branch that is
//     the repository's own. Other errors of fetching are in words of their own.
//   - Folders inside of the configuration's are for all to read, as umask has it.
package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/stages"
)

// Options say how a configuration is synced.
type Options struct {
	// Dir is the folder that the paths of the configuration count from.
	Dir string
	// Objects finds the Secrets and ConfigMaps that sources refer to.
	Objects stages.Objects
	// Events is told what happens. Required.
	Events stages.Observer
	// Lock is what the lock file says.
	Lock vendirconf.LockConfig
	// Lazy leaves contents as they are that are marked as lazy, and whose configuration is the lock's.
	Lazy bool
	// Partial replaces the contents of the configuration only, and not the folders that they are in.
	Partial bool
	// AnyLinks takes symbolic links wherever they lead.
	AnyLinks bool
	// Once means that the folder isn't synced again, so that nothing need be known of it.
	Once bool
	// Announce, if not nil, is told of each content in the configuration's order before it is fetched, and
	// whether it isn't because it is lazy.
	Announce func(dir, path string, c vendirconf.DirectoryContents, skipped bool)
}

// A Syncer syncs configurations.
type Syncer struct {
	fetcher *source.Fetcher
	cache   *cache.Store
}

// New returns a Syncer whose sources are fetched with deps.
func New(deps source.Deps) *Syncer {
	return &Syncer{fetcher: source.NewFetcher(deps), cache: deps.Cache}
}

// atOnce is how many contents are fetched at the same time.
const atOnce = 16

// Sync brings the configuration's folders up to date, and returns their lock.
func (s *Syncer) Sync(ctx context.Context, conf vendirconf.Config, opts Options) (vendirconf.LockConfig, error) {
	none := vendirconf.LockConfig{}
	if err := recoverSwaps(opts.Dir); err != nil {
		return none, err
	}
	work, err := newStaging(opts.Dir)
	if err != nil {
		return none, err
	}
	defer work.close()
	r := &run{Syncer: s, Options: opts, began: time.Now(), temp: work.path(tempName)}
	dirs, err := r.folders(conf)
	if err != nil {
		return none, err
	}
	root, err := os.OpenRoot(work.path(newName))
	if err != nil {
		return none, err
	}
	defer root.Close()
	if err := r.stage(ctx, dirs, root, work.path(newName)); err != nil {
		return none, err
	}
	var moves []move
	for _, d := range dirs {
		if d.unchanged {
			continue
		}
		m, err := r.complete(d, root, work)
		if err != nil {
			return none, fmt.Errorf("Syncing directory '%s': %w", d.conf.Path, err) //nolint:staticcheck // vendir's words
		}
		moves = append(moves, m...)
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := work.swap(moves); err != nil {
		return none, err
	}
	if err := r.settle(ctx, dirs, work); err != nil {
		return none, err
	}
	if err := s.fetcher.Trim(ctx); err != nil {
		stages.Warn(opts.Events, fmt.Sprintf("the cache is not kept within its limit: %v", err))
	}
	return lockOf(dirs), nil
}

// A run is one sync.
type run struct {
	*Syncer
	Options
	began time.Time
	temp  string
}

// A folder is one of the configuration's directories.
type folder struct {
	conf     vendirconf.Directory
	contents []*content
	// unchanged folders are left as they are.
	unchanged bool
}

// A content is one of a folder's contents.
type content struct {
	conf vendirconf.DirectoryContents
	// path counts from the folder of the options.
	path   string
	config source.Config
	source source.Source
	// configDigest is that of the configuration, as vendir has it.
	configDigest string
	// key names what the source has now, if that can be told.
	key string
	// kept contents stay what they are in their folder.
	kept  bool
	entry vendirconf.LockDirectoryContents
}

// folders prepares the configuration's contents.
func (r *run) folders(conf vendirconf.Config) ([]*folder, error) {
	var dirs []*folder
	for _, dir := range conf.Directories {
		d := &folder{conf: dir}
		dirs = append(dirs, d)
		for _, c := range dir.Contents {
			content, err := r.content(dir, c)
			if err != nil {
				return nil, fmt.Errorf("Syncing directory '%s': %w", dir.Path, err) //nolint:staticcheck // vendir's words
			}
			d.contents = append(d.contents, content)
		}
	}
	return dirs, nil
}

func (r *run) content(dir vendirconf.Directory, c vendirconf.DirectoryContents) (*content, error) {
	p := path.Join(filepath.ToSlash(dir.Path), filepath.ToSlash(c.Path))
	if !filepath.IsLocal(filepath.FromSlash(c.Path)) {
		return nil, fmt.Errorf("the path of contents '%s' leads out of the directory", c.Path)
	}
	config, err := configOf(c, p)
	if err != nil {
		return nil, fmt.Errorf("contents '%s': %w", c.Path, err)
	}
	digest, err := digestOf(c)
	if err != nil {
		return nil, err
	}
	return &content{conf: c, path: p, config: config, source: r.fetcher.Source(config), configDigest: digest}, nil
}

// stage decides what is to be fetched, and fetches it into root, whose path is dir.
func (r *run) stage(ctx context.Context, dirs []*folder, root *os.Root, dir string) error {
	if err := r.decide(ctx, dirs); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, d := range dirs {
		for _, c := range d.contents {
			if c.kept {
				continue
			}
			g.Go(func() error {
				if err := r.fetch(ctx, c, root, dir); err != nil {
					return fmt.Errorf("Syncing directory '%s': %w", d.conf.Path, err) //nolint:staticcheck // vendir's words
				}
				return nil
			})
		}
	}
	return g.Wait()
}

// job is what a content's source sees.
func (r *run) job(c *content) *stages.Job {
	return &stages.Job{
		Dir: r.Dir, Folder: c.path, Began: r.began, Temp: r.temp, Objects: r.Objects, Events: r.Events,
		Hide: func([]byte) {},
	}
}

// fetch writes a content to its path below root.
func (r *run) fetch(ctx context.Context, c *content, root *os.Root, dir string) error {
	if parent := path.Dir(c.path); parent != "." {
		if err := root.MkdirAll(parent, 0o700); err != nil {
			return err
		}
	}
	if local(c.source) && r.cache != nil && !r.Once {
		// What changes from here on makes a difference to the next sync.
		var err error
		if c.key, err = c.source.Key(ctx, r.job(c), nil); err != nil {
			return fmt.Errorf("Copying another directory contents into directory '%s': %w", c.conf.Path, err) //nolint:staticcheck // vendir's words
		}
	}
	a, err := source.NewArea(root, dir)
	if err != nil {
		return err
	}
	defer a.Close()
	resolved, err := c.source.Fetch(ctx, r.job(c), nil, a)
	switch {
	case err != nil && local(c.source):
		return fmt.Errorf("Copying another directory contents into directory '%s': %w", c.conf.Path, err) //nolint:staticcheck // vendir's words
	case err != nil:
		return fmt.Errorf("Syncing directory '%s' with %s contents: %w", c.conf.Path, kindWords(c.source.Kind()), err) //nolint:staticcheck // vendir's words
	}
	if err := a.Finish(ctx, c.config.Filter, c.config.Root(), c.path, true); err != nil {
		return fmt.Errorf("Filtering paths in directory '%s': %w", c.conf.Path, err) //nolint:staticcheck // vendir's words
	}
	c.entry = resolved.LockDirectoryContents
	if c.key == "" && r.cache != nil && !r.Once {
		// The answers that have led to this content are remembered, so that nobody is asked again. Without a
		// key it is fetched again by the next sync.
		c.key, _ = c.source.Key(ctx, r.job(c), nil)
	}
	return ctx.Err()
}

// local tells whether a source is a folder of this machine, which may change at any time.
func local(s source.Source) bool { return s.Kind() == "directory" }

// complete adds to a folder that was fetched what it keeps, checks its links, and says which moves it takes.
func (r *run) complete(d *folder, root *os.Root, work *staging) ([]move, error) {
	for _, c := range d.contents {
		there := filepath.Join(r.Dir, filepath.FromSlash(c.path))
		if c.kept {
			if parent := path.Dir(c.path); parent != "." {
				if err := root.MkdirAll(parent, 0o700); err != nil {
					return nil, err
				}
			}
			if err := linkTree(there, work.path(newName, c.path)); err != nil {
				return nil, r.missing(d, c, err)
			}
		} else if err := copyIgnored(there, work.path(newName, c.path), c.conf.IgnorePaths); err != nil {
			return nil, fmt.Errorf("Copying existing content to staging '%s': %w", d.conf.Path, err) //nolint:staticcheck // vendir's words
		}
		for _, perm := range []*os.FileMode{c.conf.Permissions, d.conf.Permissions} {
			if perm != nil {
				if err := root.Chmod(c.path, *perm); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	dir := filepath.ToSlash(d.conf.Path)
	if !r.Partial && d.conf.Permissions != nil {
		if err := root.Chmod(dir, *d.conf.Permissions); err != nil {
			return nil, err
		}
	}
	if !r.AnyLinks {
		if err := checkLinks(work.path(newName, dir), filepath.Join(r.Dir, d.conf.Path), r.Partial); err != nil {
			return nil, err
		}
	}
	if !r.Partial {
		return []move{{From: path.Join(newName, dir), To: dir}}, nil
	}
	var moves []move
	for _, c := range d.contents {
		moves = append(moves, move{From: path.Join(newName, c.path), To: c.path})
	}
	return moves, nil
}

// missing explains that a kept content isn't there.
func (r *run) missing(d *folder, c *content, err error) error {
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case c.conf.Manual != nil:
		return fmt.Errorf("Moving directory '%s' to staging dir: %w", filepath.Join(d.conf.Path, c.conf.Path), err) //nolint:staticcheck // vendir's words
	default:
		return fmt.Errorf("Lazy content missing. Run sync with --lazy=false to fix. '%s': %w", d.conf.Path, err) //nolint:staticcheck // vendir's words
	}
}

// lockOf is the lock of all folders.
func lockOf(dirs []*folder) vendirconf.LockConfig {
	lock := vendirconf.NewLockConfig()
	for _, d := range dirs {
		entry := vendirconf.LockDirectory{Path: d.conf.Path}
		for _, c := range d.contents {
			e := c.entry
			e.Path, e.ConfigDigest = c.conf.Path, ""
			if c.conf.Lazy {
				e.ConfigDigest = c.configDigest
			}
			// A locked configuration has a digest instead of the tag.
			switch {
			case e.Image != nil && c.conf.Image.PreresolvedTag() != "":
				e.Image = &vendirconf.LockDirectoryContentsImage{URL: e.Image.URL, Tag: c.conf.Image.PreresolvedTag()}
			case e.ImgpkgBundle != nil && c.conf.ImgpkgBundle.PreresolvedTag() != "":
				e.ImgpkgBundle = &vendirconf.LockDirectoryContentsImgpkgBundle{Image: e.ImgpkgBundle.Image, Tag: c.conf.ImgpkgBundle.PreresolvedTag()}
			}
			entry.Contents = append(entry.Contents, e)
		}
		lock.Directories = append(lock.Directories, entry)
	}
	return lock
}
