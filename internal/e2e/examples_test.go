package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/ssh/agent"

	"strake.dev/strake/schema"
)

// An example is one of examples/build, in a copy of that folder.
type example struct {
	t    *testing.T
	dir  string
	app  string
	repo string
	env  []string
}

func newExample(t *testing.T, app string) *example {
	t.Helper()
	e := &example{t: t, dir: t.TempDir(), app: app}
	if err := os.CopyFS(e.dir, os.DirFS("../../examples/build")); err != nil {
		t.Fatal(err)
	}
	e.repo = os.Getenv("STRAKE_SANDBOX_REGISTRY") + "/examples/" + strings.ToLower(filepath.Base(e.dir)+"-"+filepath.Base(filepath.Dir(e.dir))+"/"+app)
	e.env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(e.dir, ".cache"))
	return e
}

// build calls strake build, twice: the second time there is nothing to do. It returns what the first
// call said.
func (e *example) build(args ...string) outcome {
	e.t.Helper()
	first := e.must(args...)
	if again := e.must(args...); !strings.Contains(again.stdout, "reused") || strings.Contains(again.stderr, " built: ") {
		e.t.Errorf("the second build: %s", again)
	}
	return first
}

func (e *example) must(args ...string) outcome {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Minute)
	defer cancel()
	args = append([]string{"build", "-f", e.app + "/app.yaml", "--progress", "plain", "--set", "image_repo=" + e.repo}, args...)
	cmd := exec.CommandContext(ctx, strakeBinary, args...)
	cmd.Dir, cmd.Env = e.dir, e.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	err := cmd.Run()
	o := outcome{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(), took: time.Since(started)}
	if err != nil {
		e.t.Fatalf("%v: %s", err, o)
	}
	return o
}

// replace edits a file of the copy.
func (e *example) replace(file, old, with string) {
	e.t.Helper()
	path := filepath.Join(e.dir, file)
	data, err := os.ReadFile(path)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(with)), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

// locked is the lock file's entry of an image.
func (e *example) locked(image string) string {
	e.t.Helper()
	file := filepath.Join(e.dir, e.app, "app.lock.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		e.t.Fatal(err)
	}
	lock, err := schema.ReadLock(file, data)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, i := range lock.Images {
		if i.Annotations[schema.AnnotationImageID] == image {
			return i.Image
		}
	}
	e.t.Fatalf("%s isn't in the lock:\n%s", image, data)
	return ""
}

// get asks the registry for what the lock says that a reference became.
func (e *example) get(image string) *remote.Descriptor {
	e.t.Helper()
	ref, err := name.NewDigest(e.locked(image))
	if err != nil {
		e.t.Fatal(err)
	}
	desc, err := remote.Get(ref)
	if err != nil {
		e.t.Fatal(err)
	}
	return desc
}

func (e *example) image(image string) v1.Image {
	e.t.Helper()
	img, err := e.get(image).Image()
	if err != nil {
		e.t.Fatal(err)
	}
	return img
}

// indexOf is the manifest of an index, and its images for platforms.
func (e *example) indexOf(image string) (*v1.IndexManifest, map[string]v1.Image) {
	e.t.Helper()
	index, err := e.get(image).ImageIndex()
	if err != nil {
		e.t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		e.t.Fatal(err)
	}
	images := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		if images[m.Platform.String()], err = index.Image(m.Digest); err != nil {
			e.t.Fatal(err)
		}
	}
	return manifest, images
}

// files are the regular files of an image.
func files(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	found := map[string]string{}
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			found["/"+strings.TrimPrefix(h.Name, "/")] = string(data)
		}
	}
}

func config(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every App of examples/build does what it says that it does.
func TestBuildExamples(t *testing.T) {
	t.Parallel()
	apps := map[string]func(t *testing.T, e *example){
		"target": func(t *testing.T, e *example) {
			e.build()
			if diff := cmp.Diff(map[string]string{"/version": "version 1.2\n"}, files(t, e.image("app"))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		},
		"multi-arch": func(t *testing.T, e *example) {
			e.build()
			_, images := e.indexOf("app")
			// The machines that an ELF header names.
			want := map[string]byte{"linux/amd64": 62, "linux/386": 3, "linux/arm64": 183}
			for platform, machine := range want {
				if images[platform] == nil {
					t.Fatalf("no image for %s", platform)
				}
				if program := files(t, images[platform])["/app"]; len(program) < 20 || program[:4] != "\x7fELF" || program[18] != machine {
					t.Errorf("%s: /app is not a program for it", platform)
				}
			}
			if len(images) != len(want) {
				t.Errorf("%d images, expected %d", len(images), len(want))
			}
		},
		"secret":          secretExample,
		"ssh":             sshExample,
		"oci-layout":      layoutExample,
		"provenance-sbom": attestExample,
		"named-contexts": func(t *testing.T, e *example) {
			e.build()
			want := map[string]string{"/text": "from the other folder\n", "/copy": "from the other folder\n"}
			if diff := cmp.Diff(want, files(t, e.image("app"))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		},
		"cache": func(t *testing.T, e *example) {
			e.build()
			cache, err := layout.ImageIndexFromPath(filepath.Join(e.dir, "cache/out/cache"))
			if err != nil {
				t.Fatal(err)
			}
			if m, err := cache.IndexManifest(); err != nil || len(m.Manifests) != 1 {
				t.Errorf("the local cache: %+v, %v", m, err)
			}
			raw, err := e.image("app").RawConfigFile()
			if err != nil || !bytes.Contains(raw, []byte(`"moby.buildkit.cache.v0"`)) {
				t.Errorf("no inline cache in the configuration (%v): %s", err, raw)
			}
		},
		"labels-annotations": func(t *testing.T, e *example) {
			e.build()
			manifest, images := e.indexOf("app")
			if got := manifest.Annotations["org.opencontainers.image.description"]; got != "for two platforms" {
				t.Errorf("annotations of the index: %v", manifest.Annotations)
			}
			if len(images) != 2 {
				t.Errorf("%d images", len(images))
			}
			for platform, img := range images {
				m, err := img.Manifest()
				if err != nil || m.Annotations["org.opencontainers.image.licenses"] != "Apache-2.0" {
					t.Errorf("%s: annotations %v, %v", platform, m.Annotations, err)
				}
				if got := config(t, img).Config.Labels["org.opencontainers.image.title"]; got != "example" {
					t.Errorf("%s: label %q", platform, got)
				}
			}
		},
		"run-options": func(t *testing.T, e *example) {
			e.build()
			found := files(t, e.image("app"))["/found"]
			if !regexp.MustCompile(`(?s)^192\.0\.2\.7\s+db\.example\.com\nlo\n.*\s32\s.*/dev/shm\n1024\n2048\n$`).MatchString(found) {
				t.Errorf("found:\n%s", found)
			}
		},
		"docker-options": func(t *testing.T, e *example) {
			e.build()
			docker := e.image("with-docker")
			if got := files(t, docker)["/who"]; got != "built for docker\n" || config(t, docker).Config.Labels["built"] != "with-docker" {
				t.Errorf("docker: /who is %q", got)
			}
			_, images := e.indexOf("with-buildx")
			images["kubectl"] = e.image("with-kubectl")
			for key, who := range map[string]string{"linux/amd64": "buildx", "linux/386": "buildx", "kubectl": "kubectl"} {
				if images[key] == nil || config(t, images[key]).Config.Labels["who"] != who {
					t.Errorf("%s: not built for %s", key, who)
				}
			}
		},
	}
	folders, err := filepath.Glob("../../examples/build/*/app.yaml")
	if err != nil || len(folders) != len(apps) {
		t.Errorf("%d examples, and tests of %d: %q", len(folders), len(apps), folders)
	}
	for app, test := range apps {
		t.Run(app, func(t *testing.T) { test(t, newExample(t, app)) })
	}
}

// The secrets are nowhere but in the steps that they are for: not in the image, nor in anything that
// strake has said or written.
func secretExample(t *testing.T, e *example) {
	token, password := "token-of-"+filepath.Base(e.dir)+"-example", "correct horse battery staple"
	e.env = append(e.env, "EXAMPLE_TOKEN="+token)
	// The value of a secret is no reason to run a step again, and the daemon may have run this one.
	e.replace("secret/src/Dockerfile", "the token is", e.repo+": the token is")
	said := e.build()
	if !strings.Contains(said.stderr, "the token is ***") {
		t.Errorf("the step's output isn't there: %s", said)
	}
	events := e.must("-o", "json")
	img := e.image("app")
	raw, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{
		"output": said.String(), "events": events.String(), "configuration": string(raw), "manifest": string(manifest),
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		places["layers"] += string(data)
	}
	// The lock, the workspace with its record, and whatever else was written.
	err = filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == filepath.Join(e.dir, "secret/app.yaml") {
			return err
		}
		data, err := os.ReadFile(path)
		places[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range places {
		if strings.Contains(text, token) || strings.Contains(text, password) {
			t.Errorf("a secret is in: %s", place)
		}
	}
	if got, want := strings.TrimSpace(files(t, img)["/bytes"]), strconv.Itoa(len(token)+len(password)); got != want {
		t.Errorf("the step read %s bytes of secrets, expected %s", got, want)
	}
}

// The build's steps reach the keys of the user's agent.
func sshExample(t *testing.T, e *example) {
	keys := agent.NewKeyring()
	for range 2 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	// The path of a socket may have 108 bytes at most.
	dir, err := os.MkdirTemp("", "agent") //nolint:usetesting // its path would be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = agent.ServeAgent(keys, conn)
				conn.Close()
			}()
		}
	}()
	e.env = append(e.env, "SSH_AUTH_SOCK="+socket)
	e.build()
	if got := files(t, e.image("app"))["/keys"]; got != "2 keys\n" {
		t.Errorf("the step found %q", got)
	}
}

// Without a registry, the image is in a folder that other tools read.
func layoutExample(t *testing.T, e *example) {
	if o := e.build(); strings.Contains(o.stderr, "push image") {
		t.Errorf("something was pushed: %s", o)
	}
	_, digest, _ := strings.Cut(e.locked("app"), "@")
	if o := e.must("-o", "json"); !strings.Contains(o.stdout, `"app@`+digest+`"`) {
		t.Fatalf("the image isn't app@%s: %s", digest, o)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(e.dir, e.app, "out")
	untarred := t.TempDir()
	if text, err := exec.CommandContext(t.Context(), "tar", "-xf", filepath.Join(out, "app.tar"), "-C", untarred).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, dir := range []string{filepath.Join(out, "layout"), untarred} {
		index, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		img, err := index.Image(hash)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"/text": "in a file\n"}, files(t, img)); diff != "" {
			t.Errorf("files of %s (-want +got):\n%s", dir, diff)
		}
	}
	// What is gone is made again.
	if err := os.Remove(filepath.Join(out, "app.tar")); err != nil {
		t.Fatal(err)
	}
	if o := e.must(); !strings.Contains(o.stdout, "it isn't in out/app.tar") {
		t.Errorf("the build after the archive was removed: %s", o)
	}
	if got := e.locked("app"); !strings.HasSuffix(got, digest) {
		t.Errorf("the image became %s", got)
	}
}

// Provenance and SBOM are in-toto statements that belong to the image, where tools look for them.
func attestExample(t *testing.T, e *example) {
	scanner := *e
	scanner.app, scanner.repo = "provenance-sbom/scanner", e.repo+"-scanner"
	scanner.must()
	e.build("--set", "sbom="+scanner.locked("app"))
	manifest, _ := e.indexOf("app")
	index, err := e.get("app").ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]json.RawMessage{}
	for _, m := range manifest.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			continue
		}
		if of := m.Annotations["vnd.docker.reference.digest"]; !slices.ContainsFunc(manifest.Manifests, func(d v1.Descriptor) bool { return d.Digest.String() == of }) {
			t.Errorf("the attestations are about %s, which isn't in the index", of)
		}
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			r, err := l.Uncompressed()
			if err != nil {
				t.Fatal(err)
			}
			var statement struct {
				PredicateType string
				Predicate     json.RawMessage
			}
			if err := json.NewDecoder(r).Decode(&statement); err != nil {
				t.Fatal(err)
			}
			found[statement.PredicateType] = statement.Predicate
		}
	}
	if got := string(found["https://spdx.dev/Document"]); !strings.Contains(got, `"fileName":"/text"`) && !strings.Contains(got, `"fileName": "/text"`) {
		t.Errorf("SBOM: %s", got)
	}
	provenance := slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(kind string) bool { return strings.HasPrefix(kind, "https://slsa.dev/provenance/") })
	if !provenance {
		t.Errorf("no provenance, but %d other statements", len(found))
	}
}
