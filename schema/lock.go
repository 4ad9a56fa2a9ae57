package schema

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"carvel.dev/imgpkg/pkg/imgpkg/lockconfig"
	vendir "carvel.dev/vendir/pkg/vendir/config"
	"sigs.k8s.io/yaml"
)

// Annotations of an image in the lock. The first two are kbld's own.
const (
	// AnnotationImageID holds the reference that the manifests had.
	AnnotationImageID = "kbld.carvel.dev/id"
	// AnnotationImageOrigins holds kbld's origins of the image, as YAML.
	AnnotationImageOrigins = "kbld.carvel.dev/origins"
	// AnnotationBuildInput holds the digest of everything a built image was made from.
	AnnotationBuildInput = "strake.dev/build-input"
	// AnnotationBuildPart, followed by the name of a part, holds that part's digest.
	AnnotationBuildPart = "strake.dev/build-input."
	// AnnotationBuildPins holds what the build took from elsewhere, such as base images, as YAML: each
	// reference with its digest or commit.
	AnnotationBuildPins = "strake.dev/build-pins"
	// AnnotationSourceDate holds the SOURCE_DATE_EPOCH that a built image was made with.
	AnnotationSourceDate = "strake.dev/source-date-epoch"
)

// A LockedSource says what a source resolved to, in vendir's form. Its Path is that of the source
// in the App's folder.
type LockedSource struct {
	vendir.LockDirectoryContents
	// Digest is that of what was downloaded, such as sha256:9f86…, of the kinds of source whose entry in
	// vendir's form doesn't pin the content: http, githubRelease and helmChart.
	Digest string `json:"digest,omitempty"`
}

// A LockedImage says what an image resolved to, in imgpkg's form. The annotation
// [AnnotationImageID] says which.
type LockedImage = lockconfig.ImageRef

// A Lock is what a lock file holds: a vendir LockConfig and an imgpkg ImagesLock, the digests of sources
// that vendir's form has no place for, and those of executable plugins.
type Lock struct {
	// Sources are sorted by path.
	Sources []LockedSource
	// Images are sorted by the reference that manifests have.
	Images []LockedImage
	// Plugins are the executables that steps run, sorted by name.
	Plugins []LockedPlugin
}

// Source returns the entry of the source at a path of the App's folder.
func (l Lock) Source(path string) (LockedSource, bool) {
	for _, s := range l.Sources {
		if s.Path == path {
			return s, true
		}
	}
	return LockedSource{}, false
}

// Image returns the entry of the image that manifests name by ref.
func (l Lock) Image(ref string) (LockedImage, bool) {
	for _, i := range l.Images {
		if i.Annotations[AnnotationImageID] == ref {
			return i, true
		}
	}
	return LockedImage{}, false
}

// Sort puts the entries into the order of the file.
func (l *Lock) Sort() {
	slices.SortFunc(l.Sources, func(a, b LockedSource) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(l.Images, func(a, b LockedImage) int {
		return cmp.Compare(a.Annotations[AnnotationImageID], b.Annotations[AnnotationImageID])
	})
	l.sortPlugins()
}

// A Difference is one entry that two locks don't have in common.
type Difference struct {
	// Entry names the source or the image.
	Entry string
	// Reason says what differs.
	Reason string
}

// Differences lists what the new lock has that l lacks or has otherwise, and what only l has.
func (l Lock) Differences(n Lock) []Difference {
	var diffs []Difference
	for _, s := range n.Sources {
		old, ok := l.Source(s.Path)
		switch {
		case !ok:
			diffs = append(diffs, Difference{"source " + s.Path, "is not in the lock file"})
		case old.Digest != s.Digest && reflect.DeepEqual(old.LockDirectoryContents, s.LockDirectoryContents):
			diffs = append(diffs, Difference{"source " + s.Path, fmt.Sprintf("has the digest %s, but the lock file has %s", s.Digest, cmp.Or(old.Digest, "none"))})
		case !reflect.DeepEqual(old, s):
			diffs = append(diffs, Difference{"source " + s.Path, fmt.Sprintf("is %s, but the lock file has %s", describeSource(s), describeSource(old))})
		}
	}
	for _, s := range l.Sources {
		if _, ok := n.Source(s.Path); !ok {
			diffs = append(diffs, Difference{"source " + s.Path, "is in the lock file, but not in the App"})
		}
	}
	for _, i := range n.Images {
		id := i.Annotations[AnnotationImageID]
		old, ok := l.Image(id)
		switch {
		case !ok:
			diffs = append(diffs, Difference{"image " + id, "is not in the lock file"})
		case old.Image != i.Image:
			diffs = append(diffs, Difference{"image " + id, fmt.Sprintf("is %s, but the lock file has %s", i.Image, old.Image)})
		case old.Annotations[AnnotationBuildInput] != i.Annotations[AnnotationBuildInput]:
			diffs = append(diffs, Difference{"image " + id, "was built from other input than the lock file has"})
		}
	}
	for _, i := range l.Images {
		id := i.Annotations[AnnotationImageID]
		if _, ok := n.Image(id); !ok {
			diffs = append(diffs, Difference{"image " + id, "is in the lock file, but not in the manifests"})
		}
	}
	return append(diffs, l.pluginDifferences(n)...)
}

func describeSource(s LockedSource) string {
	switch {
	case s.Git != nil:
		return "commit " + s.Git.SHA
	case s.Image != nil:
		return s.Image.URL
	case s.ImgpkgBundle != nil:
		return s.ImgpkgBundle.Image
	case s.HelmChart != nil:
		return strings.TrimSpace("version " + s.HelmChart.Version + " " + s.Digest)
	case s.HTTP != nil:
		return cmp.Or(s.Digest, "an http source")
	case s.GithubRelease != nil:
		return strings.TrimSpace(s.GithubRelease.URL + " " + s.Digest)
	case s.Hg != nil:
		return "changeset " + s.Hg.SHA
	case s.Manual != nil:
		return "made by hand"
	case s.Inline != nil:
		return "inline"
	case s.Directory != nil:
		return "a local folder"
	default:
		return "of another kind"
	}
}

// ReadLock reads a lock file. Documents of other kinds are an error: the file is strake's.
func ReadLock(name string, data []byte) (Lock, error) {
	docs, err := Parse(name, data)
	if err != nil {
		return Lock{}, err
	}
	var l Lock
	var digests digestsLock
	var found Diagnostics
	for _, doc := range docs {
		text, err := doc.YAML()
		if err != nil {
			return Lock{}, err
		}
		switch kind := doc.Get("kind").Text(); kind {
		case "LockConfig":
			var c vendir.LockConfig
			if c, err = vendir.NewLockConfigFromBytes(text); err == nil {
				for _, d := range c.Directories {
					for _, s := range d.Contents {
						s.Path = path.Join(d.Path, s.Path)
						l.Sources = append(l.Sources, LockedSource{LockDirectoryContents: s})
					}
				}
			}
		case lockconfig.ImagesLockKind:
			var c lockconfig.ImagesLock
			if c, err = lockconfig.NewImagesLockFromBytes(text); err == nil {
				l.Images = append(l.Images, c.Images...)
			}
		case digestsKind:
			err = yaml.UnmarshalStrict(text, &digests)
		case pluginsKind:
			var c pluginsLock
			if err = yaml.UnmarshalStrict(text, &c); err == nil {
				l.Plugins = append(l.Plugins, c.Plugins...)
				err = checkPlugins(doc, c.Plugins)
			}
		default:
			err = doc.Errorf("unknown kind %q in a lock file: expected LockConfig, ImagesLock, %s or %s", kind, digestsKind, pluginsKind)
		}
		found.Collect(doc.Pos(), "", err)
	}
	for _, d := range digests.Sources {
		for i := range l.Sources {
			if l.Sources[i].Path == d.Path {
				l.Sources[i].Digest = d.Digest
			}
		}
	}
	l.Sort()
	return l, found.Err()
}

// SourcesYAML prints the sources as vendir's LockConfig.
func (l Lock) SourcesYAML() ([]byte, error) { return yaml.Marshal(l.sources()) }

func (l Lock) sources() vendir.LockConfig {
	sources := vendir.NewLockConfig()
	sources.Directories = []vendir.LockDirectory{}
	for _, s := range l.Sources {
		dir := vendir.LockDirectory{Path: s.Path}
		s.Path = "."
		dir.Contents = []vendir.LockDirectoryContents{s.LockDirectoryContents}
		sources.Directories = append(sources.Directories, dir)
	}
	return sources
}

// A digestsLock is the document for the digests of sources.
type digestsLock struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Sources    []sourceDigest `json:"sources"`
}

type sourceDigest struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
}

const digestsKind = "SourceDigestsLock"

func (l Lock) digests() digestsLock {
	d := digestsLock{APIVersion: APIVersion, Kind: digestsKind}
	for _, s := range l.Sources {
		if s.Digest != "" {
			d.Sources = append(d.Sources, sourceDigest{s.Path, s.Digest})
		}
	}
	return d
}

// Bytes returns the lock as a file: deterministic, without time, machine path or secret.
func (l Lock) Bytes() ([]byte, error) {
	l.Sort()
	images := lockconfig.NewEmptyImagesLock()
	images.Images = l.Images
	var out bytes.Buffer
	docs := []any{l.sources(), images}
	if digests := l.digests(); len(digests.Sources) > 0 {
		docs = append(docs, digests)
	}
	if len(l.Plugins) > 0 {
		docs = append(docs, pluginsLock{APIVersion: APIVersion, Kind: pluginsKind, Plugins: l.Plugins})
	}
	for _, doc := range docs {
		b, err := yaml.Marshal(doc)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(b)
	}
	return out.Bytes(), nil
}
