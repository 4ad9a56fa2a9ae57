package images

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Golang returns the recipe of library/golang: busybox below the toolchain that the go command of
// this machine belongs to. It is set up as the official image is, but builds without cgo, as it has
// no C compiler.
func Golang(ctx context.Context, busybox *Recipe) (*Recipe, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION", "GOHOSTOS", "GOHOSTARCH").Output()
	if err != nil {
		return nil, fmt.Errorf("golang image: ask go for its toolchain: %w", err)
	}
	answers := strings.Fields(string(output))
	if len(answers) != 4 {
		return nil, fmt.Errorf("golang image: go env answered %q", output)
	}
	root, version, tools := answers[0], strings.TrimPrefix(answers[1], "go"), path.Join("pkg/tool", answers[2]+"_"+answers[3])
	key, err := digest(filepath.Join(root, "VERSION"), filepath.Join(root, tools, "compile"), filepath.Join(root, "bin/go"))
	if err != nil {
		return nil, fmt.Errorf("golang image: %w", err)
	}
	return &Recipe{
		Repository: "library/golang",
		Tags:       versionTags(version),
		Key:        busybox.Key + "-" + key,
		config: v1.Config{
			Cmd:        []string{"sh"},
			WorkingDir: "/go",
			Env: []string{
				"PATH=/go/bin:/usr/local/go/bin:" + searchPath,
				"GOLANG_VERSION=" + version, "GOTOOLCHAIN=local", "GOPATH=/go", "CGO_ENABLED=0",
			},
		},
		layers: append(slices.Clone(busybox.layers), func(l *layer) { golangFiles(l, root, tools) }),
	}, nil
}

// golangFiles adds what building and vetting needs: not the sources of the toolchain itself, nor
// tests, nor what is for reading.
func golangFiles(l *layer, root, tools string) {
	keep := []string{"VERSION", "go.env", "bin", "pkg", "src", "bin/go", "bin/gofmt", "pkg/include", "pkg/tool", tools}
	for _, tool := range []string{"asm", "compile", "link", "vet"} {
		keep = append(keep, path.Join(tools, tool))
	}
	l.dir("go", 0o1777)
	l.dir("go/bin", 0o1777)
	l.dir("go/src", 0o1777)
	l.dir("usr/local", 0o755)
	l.tree("usr/local/go", root, func(file string, dir bool) bool {
		switch {
		case strings.HasPrefix(file, "src/"):
			return file == "src/cmd" || dir && path.Base(file) == "testdata" || strings.HasSuffix(file, "_test.go")
		case strings.HasPrefix(file, "pkg/include/"):
			return false
		}
		return !slices.Contains(keep, file)
	})
}
