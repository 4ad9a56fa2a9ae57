package schema

import (
	"errors"
	"fmt"
	"strings"
)

// A File is what one file of a user holds: one App or one Pipeline, and the Secrets and ConfigMaps
// that it refers to. A PackageInstall with its Packages counts as the App that it stands for.
type File struct {
	// Name is the file's name as the user gave it; - is standard input.
	Name       string
	App        *App
	Pipeline   *Pipeline
	Secrets    []Secret
	ConfigMaps []ConfigMap

	root     *Node
	install  *PackageInstall
	packages []Package
}

// Root is the node of the App, PackageInstall or Pipeline.
func (f *File) Root() *Node { return f.root }

// Metadata is that of the App or Pipeline.
func (f *File) Metadata() Metadata {
	if f.App != nil {
		return f.App.Metadata
	}
	return f.Pipeline.Metadata
}

// Identity is that of the App or Pipeline.
func (f *File) Identity() Identity {
	if f.App != nil {
		return f.App.Spec.Identity
	}
	return f.Pipeline.Spec.Identity
}

// Load reads a file. The error is a [Diagnostics] with all problems of the file, except those in
// the configuration of plugins, which the plugins find. With an error, the file is what could be
// read of it, so that the plugins can add theirs, or nil if there is nothing to go on with.
func Load(name string, data []byte) (*File, error) {
	docs, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	f := &File{Name: name}
	var found Diagnostics
	for _, doc := range docs {
		found.Collect(doc.Pos(), "", f.add(doc))
	}
	if f.install != nil {
		if len(found) > 0 {
			return nil, found.Err()
		}
		if f.App, err = f.install.app(f.packages); err != nil {
			found.Collect(f.root.Pos(), "", err)
			return nil, found.Err()
		}
	}
	if len(found) == 0 && f.root == nil {
		found = append(found, Diagnostic{
			Pos: Pos{File: name}, Msg: "holds no App and no Pipeline",
			Hint: "expected a document with apiVersion: " + APIVersion + " and kind: App or Pipeline",
		})
	}
	if f.root == nil {
		return nil, found.Err()
	}
	return f, found.Err()
}

func (f *File) add(doc *Node) error {
	if !doc.IsMapping() {
		return doc.Errorf("expected a mapping with apiVersion and kind, found %s", doc.describe())
	}
	apiVersion, kind := doc.Get("apiVersion").Text(), doc.Get("kind").Text()
	switch {
	case kind == KindApp && (apiVersion == APIVersion || apiVersion == KappControllerGroup):
		f.App = &App{}
		return errors.Join(f.setRoot(doc), Decode(doc, f.App), f.kappControllerOnly(doc, apiVersion))
	case kind == KindPipeline && apiVersion == APIVersion:
		f.Pipeline = &Pipeline{}
		return errors.Join(f.setRoot(doc), Decode(doc, f.Pipeline))
	case kind == KindPackageInstall && apiVersion == PackagingGroup:
		f.install = &PackageInstall{}
		return errors.Join(f.setRoot(doc), Decode(doc, f.install))
	case kind == KindPackage && apiVersion == DataPackagingGroup:
		var p Package
		err := Decode(doc, &p)
		f.packages = append(f.packages, p)
		return err
	case kind == KindPackageMetadata && apiVersion == DataPackagingGroup:
		return nil // it describes the package for people
	case kind == "Secret" && apiVersion == "v1":
		var s Secret
		err := Decode(doc, &s)
		f.Secrets = append(f.Secrets, s)
		return err
	case kind == "ConfigMap" && apiVersion == "v1":
		var c ConfigMap
		err := Decode(doc, &c)
		f.ConfigMaps = append(f.ConfigMaps, c)
		return err
	}
	return unknownKind(doc, apiVersion, kind)
}

func unknownKind(doc *Node, apiVersion, kind string) Diagnostic {
	known := []string{
		APIVersion + " App", APIVersion + " Pipeline", KappControllerGroup + " App",
		PackagingGroup + " PackageInstall", DataPackagingGroup + " Package", "v1 Secret", "v1 ConfigMap",
	}
	d := doc.Errorf("unknown kind of document: apiVersion %q, kind %q", apiVersion, kind)
	if at := doc.Get("kind"); at != nil {
		d.Pos = at.Pos()
	}
	d.Hint = "known: " + strings.Join(known, ", ")
	return d
}

func (f *File) setRoot(doc *Node) error {
	if f.root != nil {
		return doc.Errorf("a second App, PackageInstall or Pipeline: the first one is at %s, and a file holds one", f.root.Pos())
	}
	f.root = doc
	return nil
}

// kappControllerOnly refuses what kapp-controller's App doesn't have: its API server would drop it
// silently, and the App would mean something else there.
func (f *File) kappControllerOnly(doc *Node, apiVersion string) error {
	if apiVersion != KappControllerGroup {
		return nil
	}
	var found Diagnostics
	if build := doc.Get("spec").Get("build"); build != nil {
		d := build.Errorf("kapp-controller's App has no build stage")
		d.Hint = fmt.Sprintf("use “template: [{kbld: {}}]”, or apiVersion: %s", APIVersion)
		found = append(found, d)
	}
	for _, stage := range []string{"verify", "publish"} {
		if entries := doc.Get("spec").Get(stage); entries != nil {
			d := entries.Errorf("kapp-controller's App has no %s stage", stage)
			d.Hint = "use apiVersion: " + APIVersion
			found = append(found, d)
		}
	}
	return found.Err()
}
