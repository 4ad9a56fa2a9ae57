package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/render"
)

type artifactPullOptions struct {
	inputFlags
	remoteFlags
	outputFlags
	timeoutFlag
	into string
}

func newArtifactPullCommand(t *tool) *cobra.Command {
	var opts artifactPullOptions
	cmd := &cobra.Command{
		Use:   "pull URL [flags]",
		Short: "Print the manifests of an artifact, or write its files to a folder",
		Long: `Pull an artifact of strake, Kustomizer, Flux or imgpkg, and print its manifests on
standard output. With -o FOLDER its files are written to a folder instead, which
must be new, empty, or what an earlier pull has written: all of them, or none.`,
		Example: `  strake artifact pull oci://ghcr.io/org/app-config:v1.0.0
  strake artifact pull oci://ghcr.io/org/app-config:v1.0.0 -o ./config
  strake artifact pull oci://ghcr.io/org/app-config:v1.0.0 | strake diff app -f-`,
		Args:              oneURL,
		ValidArgsFunction: upTo(1, t.completeArtifacts(&opts.remoteFlags)),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.artifactPull(cmd, args[0], &opts) },
	}
	opts.addPull(cmd)
	opts.addRegistry(cmd.Flags())
	opts.timeoutFlag.add(cmd)
	cmd.Flags().StringVarP(&opts.into, "output", "o", stdinFile, "write the files to a `FOLDER`, print the manifests: -, or print all as JSON: json")
	_ = cmd.MarkFlagDirname("output") // the flag exists
	return cmd
}

func (t *tool) artifactPull(cmd *cobra.Command, url string, o *artifactPullOptions) error {
	if o.into == formatJSON {
		o.into, o.format.value = stdinFile, formatJSON
	}
	return t.conclude(cmd.Context(), "artifact pull", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		o.artifacts = []string{url}
		pulled, err := o.pull(ctx, deps.Registry, func(string) {})
		if err != nil {
			return nil, err
		}
		a := pulled[0]
		result := &artifactPullResult{artifactFacts: factsOf(a), Into: o.into, Files: a.Names()}
		if o.into != stdinFile {
			err := artifact.Write(ctx, a, o.into)
			return orNil(result, err), err
		}
		streams, err := a.Manifests(ctx, t.warn)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.URL, err)
		}
		var b bytes.Buffer
		for n, s := range streams {
			if n > 0 && !bytes.HasPrefix(s.Text, []byte("---")) && !bytes.HasSuffix(b.Bytes(), []byte("---\n")) {
				b.WriteString("---\n")
			}
			b.Write(bytes.TrimSuffix(s.Text, []byte("\n")))
			b.WriteByte('\n')
		}
		result.Manifests = b.String()
		return result, nil
	})
}

// artifactFacts are what an artifact says of itself.
type artifactFacts struct {
	// Artifact is its URL by the digest.
	Artifact  string `json:"artifact"`
	Kind      string `json:"kind"`
	BuiltBy   string `json:"builtBy,omitempty"`
	Created   string `json:"created,omitempty"`
	Checksum  string `json:"checksum,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	Source    string `json:"source,omitempty"`
	Revision  string `json:"revision,omitempty"`
}

func factsOf(a *artifact.Artifact) artifactFacts {
	builtBy := a.BuiltBy
	if a.Kind == artifact.KindKustomizer {
		builtBy = "kustomizer v" + builtBy
	}
	return artifactFacts{
		Artifact: artifact.URL(a.Ref), Kind: a.Kind, BuiltBy: builtBy, Created: a.Created, Checksum: a.Checksum,
		Encrypted: a.Encrypted, Source: a.Source, Revision: a.Revision,
	}
}

func (f artifactFacts) print(w io.Writer) {
	for _, row := range [][2]string{
		{"Artifact", f.Artifact},
		{"Kind", f.Kind},
		{"Built by", cmp.Or(f.BuiltBy, f.Kind)},
		{"Created at", f.Created},
		{"Checksum", f.Checksum},
		{"Source", f.Source},
		{"Revision", f.Revision},
	} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s: %s\n", row[0], render.Line(row[1]))
		}
	}
}

// An artifactPullResult is what was pulled.
type artifactPullResult struct {
	artifactFacts
	Into      string   `json:"into"`
	Files     []string `json:"files"`
	Manifests string   `json:"manifests,omitempty"`
}

func (r *artifactPullResult) print(w io.Writer) {
	if r.Into == stdinFile {
		_, _ = io.WriteString(w, r.Manifests) // noticed at the end of the command
		return
	}
	fmt.Fprintf(w, "pulled %s to %s: %d files\n", r.Artifact, r.Into, len(r.Files))
}
