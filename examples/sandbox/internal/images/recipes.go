package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
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

// busyboxFolders are those that all may read.
var busyboxFolders = []string{"bin", "etc", "etc/ssl", "etc/ssl/certs", "home", "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin", "var", "var/run"}

func busyboxFiles(l *layer, program string, applets []string) {
	for _, dir := range busyboxFolders {
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
		if err := digestFile(h, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func digestFile(h hash.Hash, name string) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = io.WriteString(h, " 0 ")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(h, " %d ", info.Size())
	_, err = io.Copy(h, file)
	return err
}
