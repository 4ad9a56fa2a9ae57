package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"strake.dev/strake/stages"
)

const (
	// maxNesting is how many repositories a submodule may be inside of.
	maxNesting = 20
	// parallel is how many submodules of a repository are fetched at the same time.
	parallel = 4
)

// submodules checks out the submodules of a checkout, each out of mirrors of its own.
func (m *mirror) submodules(ctx context.Context, c *checkout) error {
	known, err := m.modules(ctx, c)
	if err != nil || known == nil {
		return err
	}
	links, err := m.links(ctx, c)
	if err != nil {
		return err
	}
	if len(links) > 0 && c.nesting >= maxNesting {
		return fmt.Errorf("submodules are nested more than %d deep", maxNesting)
	}
	var configured strings.Builder
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	progress := m.r.progress()
	for _, link := range links {
		mod, ok := known[link.path]
		if !ok {
			return errors.Join(fmt.Errorf("submodule %s: .gitmodules doesn't say where it is", link.path), group.Wait())
		}
		if mod.update == "none" {
			continue
		}
		if mod.address, err = mod.resolve(m.r.url); err != nil {
			return errors.Join(fmt.Errorf("submodule %s: %w", link.path, err), group.Wait())
		}
		fmt.Fprintf(&configured, "[submodule %s]\n\tactive = true\n\turl = %s\n", quoted(mod.name), quoted(Redacted(mod.address)))
		group.Go(func() error { return m.r.submoduleCheckout(ctx, c, mod, link, progress) })
	}
	if err := group.Wait(); err != nil || !c.KeepGit {
		return err
	}
	return appendFile(filepath.Join(c.gitDir, "config"), configured.String())
}

func appendFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// progress is the repository's, for several to tell.
func (r *Repository) progress() func(string) {
	if r.Progress == nil {
		return nil
	}
	var mu sync.Mutex
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		r.Progress(line)
	}
}

// links are the submodules that a checkout has.
func (m *mirror) links(ctx context.Context, c *checkout) ([]entry, error) {
	var paths []string
	if c.SubPath != "" {
		s, err := m.selected(ctx, c)
		if err != nil || s.module != nil {
			return []entry{*s.module}, err
		}
		paths = append(paths, c.SubPath)
	}
	all, err := m.entries(ctx, c.want.SHA, true, paths...)
	if err != nil {
		return nil, err
	}
	var links []entry
	for _, e := range all {
		if e.kind == kindCommit {
			links = append(links, e)
		}
	}
	return links, nil
}

// modules are what .gitmodules says, by the submodules' paths; nil if there is no such file.
func (m *mirror) modules(ctx context.Context, c *checkout) (map[string]module, error) {
	files, err := m.entries(ctx, c.want.SHA, false, ".gitmodules")
	if err != nil || len(files) == 0 {
		return nil, err
	}
	if f := files[0]; f.mode != "100644" && f.mode != "100755" {
		return nil, errors.New(".gitmodules is not a file")
	}
	out, err := m.git(ctx, "config", "--no-includes", "--blob", files[0].sha, "--list", "-z")
	if err != nil {
		return nil, fmt.Errorf(".gitmodules: %w", err)
	}
	return parseModules(out)
}

// A module is what .gitmodules says of a submodule.
type module struct {
	name, path, url, update string
	// address is where it is, made from url.
	address string
}

// parseModules reads the output of git config --list -z for a .gitmodules file.
func parseModules(out string) (map[string]module, error) {
	byName := map[string]*module{}
	for entry := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		rest, ok := strings.CutPrefix(key, "submodule.")
		dot := strings.LastIndexByte(rest, '.')
		if !ok || dot < 0 {
			continue
		}
		name := rest[:dot]
		if err := checkModuleName(name); err != nil {
			return nil, err
		}
		mod := byName[name]
		if mod == nil {
			mod = &module{name: name}
			byName[name] = mod
		}
		switch rest[dot+1:] {
		case "path":
			mod.path = strings.TrimSuffix(value, "/")
		case "url":
			mod.url = value
		case "update":
			mod.update = value
		}
	}
	modules := map[string]module{}
	for _, mod := range byName {
		if strings.HasPrefix(mod.update, "!") {
			return nil, fmt.Errorf(".gitmodules: submodule %q wants to run a command for its updates", mod.name)
		}
		if other, ok := modules[mod.path]; ok {
			return nil, fmt.Errorf(".gitmodules: the submodules %q and %q have the same path", min(mod.name, other.name), max(mod.name, other.name))
		}
		modules[mod.path] = *mod
	}
	return modules, nil
}

// checkModuleName refuses a name that would be a path out of .git/modules, by the rules of git's own
// check_submodule_name.
func checkModuleName(name string) error {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return fmt.Errorf(".gitmodules: the submodule's name %q leads out of its folder", name)
		}
	}
	if name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf(".gitmodules: %q can't be a submodule's name", name)
	}
	return nil
}

// resolve gives a submodule's address; a relative one counts from the address of the repository it is in.
func (mod module) resolve(parent string) (string, error) {
	address := mod.url
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		var err error
		if address, err = relativeTo(parent, address); err != nil {
			return "", err
		}
	}
	if err := CheckURL(address); err != nil {
		return "", fmt.Errorf("the address %q %w", Redacted(address), err)
	}
	if isLocal(address) {
		return "", stages.WithHint(fmt.Errorf("the address %s is a repository of this machine", address),
			"a repository must not have others of this machine read: fetch both over a server, or leave submodules out and fetch each by itself")
	}
	return address, nil
}

// relativeTo resolves a relative address as git does, but never beyond the host.
func relativeTo(parent, relative string) (string, error) {
	prefix, dir := "", parent
	if m := scheme.FindString(parent); m != "" {
		host, rest, _ := strings.Cut(parent[len(m):], "/")
		prefix, dir = m+host+"/", rest
	} else if m := scp.FindString(parent); m != "" {
		prefix, dir = m, parent[len(m):]
	}
	if strings.HasPrefix(dir, "/") {
		prefix, dir = prefix+"/", dir[1:]
	}
	dir = strings.TrimRight(dir, "/")
	rest := relative
	for {
		if after, ok := strings.CutPrefix(rest, "./"); ok {
			rest = after
			continue
		}
		after, ok := strings.CutPrefix(rest, "../")
		if !ok {
			break
		}
		if dir == "" {
			return "", fmt.Errorf("the address %q leads out of %s", relative, Redacted(parent))
		}
		rest = after
		dir = dir[:max(0, strings.LastIndexByte(dir, '/'))]
	}
	if dir != "" {
		rest = dir + "/" + rest
	}
	return prefix + strings.TrimRight(rest, "/"), nil
}

// isLocal tells whether an address is that of a repository of this machine.
func isLocal(address string) bool {
	return filepath.IsAbs(address) || strings.HasPrefix(strings.ToLower(address), "file:")
}

// sameHost tells whether credentials for one address are also for another one.
func sameHost(a, b string) bool { return origin(a) != "" && origin(a) == origin(b) }

// origin is the part of an address that credentials are for: transport, host and port.
func origin(address string) string {
	if m := scheme.FindString(address); m != "" {
		host, _, _ := strings.Cut(address[len(m):], "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		return strings.ToLower(m + host)
	}
	if m := scp.FindStringSubmatch(address); m != nil {
		return "ssh://" + strings.ToLower(m[2])
	}
	return ""
}

func (r *Repository) submoduleCheckout(ctx context.Context, c *checkout, mod module, link entry, progress func(string)) error {
	err := r.openSubmodule(ctx, c, mod, link, progress)
	switch {
	case errors.Is(err, ErrNoCommit):
		// To the caller it would mean the commit that was asked for.
		return fmt.Errorf("submodule %s: commit %s is not in %s", link.path, link.sha, Redacted(mod.address))
	case err != nil:
		return fmt.Errorf("submodule %s: %w", link.path, err)
	}
	return nil
}

func (r *Repository) openSubmodule(ctx context.Context, c *checkout, mod module, link entry, progress func(string)) error {
	auth := Auth{}
	if sameHost(r.url, mod.address) {
		auth = r.auth
	}
	inner, err := Open(mod.address, auth, r.temp)
	if err != nil {
		return err
	}
	defer inner.Close()
	inner.Cache, inner.Progress, inner.submodule, inner.backoff = r.Cache, progress, true, r.backoff
	dir := filepath.Join(c.dir, filepath.FromSlash(link.path))
	sub := &checkout{
		dir: dir, gitDir: filepath.Join(dir, ".git"), want: Commit{SHA: link.sha}, nesting: c.nesting + 1,
		Options: Options{SkipLFS: c.SkipLFS, KeepGit: c.KeepGit},
	}
	if rest, ok := strings.CutPrefix(c.SubPath, link.path+"/"); ok {
		sub.SubPath = rest
	}
	if err := makeFolder(c.dir, link.path); err != nil {
		return err
	}
	if c.KeepGit {
		if sub.gitDir, err = moduleDir(c.gitDir, mod.name); err != nil {
			return err
		}
	}
	_, err = inner.checkout(ctx, sub)
	return err
}

// makeFolder makes a folder below root, in which none of the path's parts may be a link.
func makeFolder(root, path string) error {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	at := ""
	for part := range strings.SplitSeq(path, "/") {
		at = filepath.Join(at, part)
		if err := r.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if info, err := r.Lstat(at); err != nil || !info.IsDir() {
			return fmt.Errorf("%s is not a folder", at)
		}
	}
	return nil
}

// moduleDir is where git keeps a submodule's own files, which must not be inside of another one's.
func moduleDir(gitDir, name string) (string, error) {
	modules := filepath.Join(gitDir, "modules")
	dir := filepath.Join(modules, filepath.FromSlash(name))
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the name %q is taken by another submodule", name)
	}
	for above := filepath.Dir(dir); len(above) > len(modules); above = filepath.Dir(above) {
		if _, err := os.Lstat(filepath.Join(above, "HEAD")); !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("the name %q is inside of another submodule's", name)
		}
	}
	return dir, nil
}
