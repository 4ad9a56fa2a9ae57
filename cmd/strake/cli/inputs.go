package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/sopsfile"
	"strake.dev/strake/stages"
)

// inputFlags say where Kubernetes objects come from.
type inputFlags struct {
	artifacts, files, patches []string
	kustomize, identities     string
	imagePaths                []string
	relocated                 bool
	// verify says who must have signed the artifacts, and with verifyImages the images too.
	verify       verifyFlags
	verifyImages bool
}

// addLocal adds the flags for what is no artifact.
func (f *inputFlags) addLocal(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.files, "filename", "f", nil, "take the manifests of a `FILE`, of all .yaml and .yml files of a folder, or of standard input: - (repeatable)")
	flags.StringVarP(&f.kustomize, "kustomize", "k", "", "build the kustomization of a `FOLDER`")
	flags.StringSliceVarP(&f.patches, "patch", "p", nil, "change the objects by the patches, images, labels and names of a kustomization `FILE` (repeatable)")
	f.addImagePaths(cmd)
	_ = cmd.MarkFlagFilename("filename", "yaml", "yml") // the flags exist
	_ = cmd.MarkFlagDirname("kustomize")
	_ = cmd.MarkFlagFilename("patch", "yaml", "yml")
}

// add adds all.
func (f *inputFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.artifacts, "artifact", "a", nil, "take the manifests of the artifact at `URL`: oci://HOST/REPOSITORY:TAG (repeatable)")
	f.addPull(cmd)
	f.addVerifyImages(cmd)
	flags.BoolVar(&f.relocated, "relocated", false, "take images from the repository of the artifact that names them, where artifact copy --images has put them")
	f.addLocal(cmd)
}

// addPull adds the flags for how artifacts are read.
func (f *inputFlags) addPull(cmd *cobra.Command) {
	f.verify.add(cmd, "verify-key")
	cmd.Flags().StringVar(&f.identities, "age-identities", "", "decrypt with the private keys of age in `FILE`")
	fromEnv(cmd.Flags(), "age-identities", "STRAKE_AGE_IDENTITIES")
}

func (f *inputFlags) addVerifyImages(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.verifyImages, "verify-images", false, "verify the images as well, by the same keys or policy; those without a digest are pinned to the one that was verified")
}

func (f *inputFlags) addImagePaths(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.imagePaths, "image-path", nil, "where custom resources name images: `KIND.GROUP=PATH`, such as Prometheus.monitoring.coreos.com=spec/image (repeatable)")
}

// empty tells whether no input is named.
func (f *inputFlags) empty() bool {
	return len(f.artifacts) == 0 && len(f.files) == 0 && f.kustomize == ""
}

// keys reads the private keys to decrypt with.
func (f *inputFlags) keys() ([]artifact.Identity, error) {
	if f.identities == "" {
		return nil, nil
	}
	return artifact.Identities(f.identities)
}

func (f *inputFlags) paths() ([]content.ImagePath, error) {
	var paths []content.ImagePath
	for _, text := range f.imagePaths {
		p, err := content.ParseImagePath(text)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// An input is what was read: the objects, and the artifacts that some of them are from.
type input struct {
	*content.Set
	artifacts []*artifact.Artifact
}

// load reads the objects. say is told which artifacts are pulled. All are pulled, and verified if that is
// wanted, before anything else is done.
func (f *inputFlags) load(ctx context.Context, t *tool, client *registry.Client, say func(string)) (*input, error) {
	paths, err := f.paths()
	if err != nil {
		return nil, err
	}
	in := content.Inputs{Files: f.files, Kustomize: f.kustomize, Patches: f.patches, Stdin: t.in, Warn: t.warn}
	if slices.Contains(f.files, "-") {
		text, err := t.read(ctx, stdinFile)
		if err != nil {
			return nil, err
		}
		in.Stdin = strings.NewReader(string(text))
	}
	result := &input{}
	if result.artifacts, err = f.pull(ctx, client, say); err != nil {
		return nil, err
	}
	for _, a := range result.artifacts {
		streams, err := a.Manifests(ctx, t.warn)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.URL, err)
		}
		if !f.relocated {
			in.Streams = append(in.Streams, streams...)
			continue
		}
		moved, err := relocate(ctx, client, a, streams, paths)
		if err != nil {
			return nil, err
		}
		in.Streams = append(in.Streams, moved)
	}
	if result.Set, err = content.Load(ctx, in); err != nil || !f.verifyImages {
		return result, err
	}
	return result, f.verifyAll(ctx, client, result, paths)
}

// verifyAll verifies the images of objects, and pins those without a digest to what was verified.
func (f *inputFlags) verifyAll(ctx context.Context, client *registry.Client, in *input, paths []content.ImagePath) error {
	verify, err := f.verify.check(ctx, client)
	if err != nil {
		return err
	}
	if verify == nil {
		return stages.WithHint(errors.New("--verify-images: nobody is named who must have signed"), "name a public key with --verify-key FILE, or a policy with --policy FILE")
	}
	refs := in.Images(paths)
	digests := map[string]name.Digest{}
	for _, a := range in.artifacts {
		maps.Copy(digests, a.Digests(refs))
	}
	errs := make([]error, len(refs))
	pinned := make([]string, len(refs))
	var group errgroup.Group
	group.SetLimit(imagesAtOnce)
	for n, ref := range refs {
		group.Go(func() error {
			pinned[n], errs[n] = verifyImage(ctx, client, ref, digests, verify)
			return nil
		})
	}
	_ = group.Wait() // errs holds what went wrong
	others := map[string]string{}
	for n, ref := range refs {
		others[ref] = pinned[n]
	}
	in.ReplaceImages(others, paths)
	return errors.Join(errs...)
}

// imagesAtOnce is how many images are verified at the same time.
const imagesAtOnce = 8

// verifyImage verifies an image, and returns its reference with the digest that was verified.
func verifyImage(ctx context.Context, client *registry.Client, ref string, digests map[string]name.Digest, verify func(context.Context, name.Digest) error) (string, error) {
	digest, known := digests[ref]
	if own, err := name.NewDigest(ref); err == nil {
		return ref, verify(ctx, own)
	}
	if !known {
		parsed, err := name.ParseReference(ref)
		if err != nil {
			return ref, fmt.Errorf("image %s: %w", ref, err)
		}
		desc, err := client.Head(ctx, parsed)
		if err != nil {
			return ref, fmt.Errorf("image %s: %s", ref, registry.Reason(err))
		}
		digest = parsed.Context().Digest(desc.Digest.String())
	}
	return digest.Name(), verify(ctx, digest)
}

// plain returns an error if Secrets are encrypted still.
func (in *input) plain() error {
	for _, o := range in.Objects {
		if sopsfile.Encrypted(o.Object) {
			return stages.WithHint(fmt.Errorf("%s is encrypted", content.Name(o)), "give the file with a private key with --age-identities")
		}
	}
	return nil
}

// pull reads the artifacts.
func (f *inputFlags) pull(ctx context.Context, client *registry.Client, say func(string)) ([]*artifact.Artifact, error) {
	options, err := f.options(ctx, client)
	if err != nil {
		return nil, err
	}
	refs := make([]name.Reference, len(f.artifacts))
	for n, url := range f.artifacts {
		if refs[n], err = artifact.ParseURL(url); err != nil {
			return nil, err
		}
	}
	pulled := make([]*artifact.Artifact, len(refs))
	group, ctx := errgroup.WithContext(ctx)
	for n, ref := range refs {
		say("pulling " + ref.Name())
		group.Go(func() (err error) {
			pulled[n], err = artifact.Pull(ctx, client, ref, options)
			return err
		})
	}
	return pulled, group.Wait()
}

// options say how artifacts are read.
func (f *inputFlags) options(ctx context.Context, client *registry.Client) (artifact.Options, error) {
	keys, err := f.keys()
	if err != nil {
		return artifact.Options{}, err
	}
	verify, err := f.verify.check(ctx, client)
	return artifact.Options{Verify: verify, Identities: keys}, err
}

// relocate lets the objects of an artifact name its images in its own repository.
func relocate(ctx context.Context, client *registry.Client, a *artifact.Artifact, streams []content.Stream, paths []content.ImagePath) (content.Stream, error) {
	set, err := content.Load(ctx, content.Inputs{Streams: streams})
	if err != nil {
		return content.Stream{}, err
	}
	moved, err := a.Relocated(ctx, client, set.Images(paths))
	if err != nil {
		return content.Stream{}, err
	}
	set.ReplaceImages(moved, paths)
	text, err := set.YAML()
	return content.Stream{Name: a.URL, Text: text}, err
}

// warn prints a warning that no event tells of.
func (t *tool) warn(line string) {
	fmt.Fprintf(t.harmless(t.err), "warning: %s\n", render.Line(t.secrets.CleanLog(line)))
}

// say prints a line of a command's progress.
func say(w io.Writer) func(string) {
	return func(line string) { fmt.Fprintln(w, line) }
}

// noInputs is the error for a command without any input.
func noInputs(cmd *cobra.Command) error {
	return &usageError{
		err:  stages.WithHint(fmt.Errorf("%s: nothing is named to take manifests from", cmd.CommandPath()), "name a file or folder with -f, a kustomization with -k, or an artifact with -a"),
		line: cmd.UseLine(),
	}
}
