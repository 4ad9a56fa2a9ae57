package images

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// BuildKit returns the recipe of moby/buildkit: a folder's buildkitd and buildctl, and runc, on
// busybox. Unlike the official image it has neither git nor emulators.
func BuildKit(ctx context.Context, busybox *Recipe, dir, version, runc string) (*Recipe, error) {
	r, err := onBusybox(ctx, busybox, map[string]string{
		"usr/bin/buildkitd": filepath.Join(dir, "buildkitd"),
		"usr/bin/buildctl":  filepath.Join(dir, "buildctl"),
		// The name that buildkitd looks for first.
		"usr/bin/buildkit-runc": runc,
	})
	if err != nil {
		return nil, fmt.Errorf("buildkit image: %w", err)
	}
	r.Repository, r.Tags = "moby/buildkit", []string{"latest", version}
	r.config = v1.Config{Entrypoint: []string{"buildkitd"}, Env: []string{"PATH=" + searchPath}}
	return r, nil
}

// Registry returns the recipe of library/registry: the program on busybox.
func Registry(ctx context.Context, busybox *Recipe, program string) (*Recipe, error) {
	r, err := onBusybox(ctx, busybox, map[string]string{"usr/bin/registry": program})
	if err != nil {
		return nil, fmt.Errorf("registry image: %w", err)
	}
	r.Repository, r.Tags = "library/registry", []string{"latest", "3"}
	r.config = v1.Config{Entrypoint: []string{"registry"}, Env: []string{"PATH=" + searchPath}}
	return r, nil
}

// Node returns the recipe of library/node: this machine's node with its C libraries, on busybox. It has
// no npm. The tag lts is there whatever the version.
func Node(ctx context.Context, busybox *Recipe) (*Recipe, error) {
	program, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("node image: %w; on Debian, run: apt-get install -y nodejs", err)
	}
	output, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("node image: ask %s for its version: %w", program, err)
	}
	r, err := onBusybox(ctx, busybox, map[string]string{"usr/local/bin/node": program})
	if err != nil {
		return nil, fmt.Errorf("node image: %w", err)
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(output)), "v")
	r.Repository, r.Tags = "library/node", append(versionTags(version), "lts")
	r.config = v1.Config{Cmd: []string{"node"}, Env: []string{"PATH=" + searchPath, "NODE_VERSION=" + version}}
	return r, nil
}

// onBusybox puts programs of this machine, by their names in the image, and the libraries that they
// need onto busybox.
func onBusybox(ctx context.Context, busybox *Recipe, programs map[string]string) (*Recipe, error) {
	files := maps.Clone(programs)
	for _, program := range programs {
		found, err := libraries(ctx, program)
		if err != nil {
			return nil, err
		}
		for _, library := range found {
			files[strings.TrimPrefix(library, "/")] = library
		}
	}
	names := slices.Sorted(maps.Keys(files))
	sources := make([]string, 0, len(names))
	for _, name := range names {
		sources = append(sources, files[name])
	}
	key, err := digest(sources...)
	if err != nil {
		return nil, err
	}
	return &Recipe{
		Key: busybox.Key + "-" + key,
		layers: append(slices.Clone(busybox.layers), func(l *layer) {
			made := map[string]bool{}
			for _, name := range names {
				l.parents(name, made)
				l.copy(name, files[name])
			}
		}),
	}, nil
}

// parents adds the folders above a name that busybox hasn't and made doesn't hold yet.
func (l *layer) parents(name string, made map[string]bool) {
	dir := path.Dir(name)
	if dir == "." || made[dir] || slices.Contains(busyboxFolders, dir) {
		return
	}
	l.parents(dir, made)
	l.dir(dir, 0o755)
	made[dir] = true
}

// libraries returns the paths of the shared libraries that a program needs, the loader among them. A
// program that is linked statically needs none.
func libraries(ctx context.Context, program string) ([]string, error) {
	static, err := Static(program)
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w", program, err)
	}
	if static {
		return nil, nil
	}
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "ldd", program)
	cmd.Stderr = &complaint
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w: %s", program, err, bytes.TrimSpace(complaint.Bytes()))
	}
	var found []string
	for line := range strings.Lines(string(output)) {
		// “name => path (address)”, or “path (address)”; what the kernel provides has no path.
		_, library, named := strings.Cut(line, "=>")
		if !named {
			library = line
		}
		words := strings.Fields(library)
		switch {
		case len(words) > 0 && filepath.IsAbs(words[0]):
			found = append(found, words[0])
		case named:
			return nil, fmt.Errorf("libraries of %s: %s", program, strings.TrimSpace(line))
		}
	}
	return found, nil
}

// Static tells whether a program needs no libraries.
func Static(program string) (bool, error) {
	file, err := elf.Open(program)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}
