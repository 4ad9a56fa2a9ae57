package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// format is part of every key; a change of what a recipe makes of the same files changes it.
const format = "1"

// PauseRepository and PauseTag name the image that holds the namespaces of pods.
const (
	PauseRepository = "strake/pause"
	PauseTag        = "1"
)

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// certificates is where Debian and most others keep the trusted authorities.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// Pause returns the recipe of the image with the pause program alone.
func Pause(program string) (*Recipe, error) {
	key, err := digest(program)
	if err != nil {
		return nil, fmt.Errorf("pause image: %w", err)
	}
	return &Recipe{
		Repository: PauseRepository,
		Tags:       []string{PauseTag},
		Key:        key,
		config:     v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"},
		layers:     []func(*layer){func(l *layer) { l.copy("pause", program) }},
	}, nil
}

// Busybox returns the recipe of library/busybox: a static busybox with a link for each of its
// applets, and the few files that programs expect of a system.
func Busybox(ctx context.Context, program string) (*Recipe, error) {
	list, err := exec.CommandContext(ctx, program, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("busybox image: list applets of %s: %w", program, err)
	}
	applets := strings.Fields(string(list))
	version, err := busyboxVersion(ctx, program)
	if err != nil {
		return nil, err
	}
	key, err := digest(program, certificates)
	if err != nil {
		return nil, fmt.Errorf("busybox image: %w", err)
	}
	return &Recipe{
		Repository: "library/busybox",
		Tags:       versionTags(version),
		Key:        key,
		config:     v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=" + searchPath}},
		layers:     []func(*layer){func(l *layer) { busyboxFiles(l, program, applets) }},
	}, nil
}

func busyboxFiles(l *layer, program string, applets []string) {
	for _, dir := range []string{"bin", "etc", "etc/ssl", "etc/ssl/certs", "home", "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin", "var", "var/run"} {
		l.dir(dir, 0o755)
	}
	l.dir("root", 0o700)
	l.dir("tmp", 0o1777)
	l.copy("bin/busybox", program)
	for _, applet := range applets {
		if applet != "busybox" {
			l.link("bin/"+applet, "busybox")
		}
	}
	l.link("usr/bin/env", "/bin/busybox")
	l.content("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"))
	l.content("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	l.content("etc/nsswitch.conf", 0o644, []byte("hosts: files dns\n"))
	if _, err := os.Stat(certificates); err == nil {
		l.copy(strings.TrimPrefix(certificates, "/"), certificates)
	}
}

var busyboxBanner = regexp.MustCompile(`BusyBox v(\d+\.\d+\.\d+)`)

func busyboxVersion(ctx context.Context, program string) (string, error) {
	// The banner comes on either output, and with any exit code.
	output, err := exec.CommandContext(ctx, program, "--help").CombinedOutput()
	match := busyboxBanner.FindSubmatch(output)
	if match == nil {
		return "", errors.Join(fmt.Errorf("busybox image: %s does not tell its version", program), err)
	}
	return string(match[1]), nil
}

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

// versionTags turns 1.2.3 into latest, 1, 1.2 and 1.2.3.
func versionTags(version string) []string {
	tags := []string{"latest"}
	for i, c := range version {
		if c == '.' {
			tags = append(tags, version[:i])
		}
	}
	return append(tags, version)
}

// digest names the content of files, of which some may be missing.
func digest(files ...string) (string, error) {
	h := sha256.New()
	_, _ = h.Write([]byte(format))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		_, _ = fmt.Fprintf(h, " %d ", len(data))
		_, _ = h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
