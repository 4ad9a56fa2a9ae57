package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/stages"
)

type generateKeyPairOptions struct {
	outputFlags
	prefix string
}

func newArtifactGenerateKeyPairCommand(t *tool) *cobra.Command {
	var opts generateKeyPairOptions
	cmd := &cobra.Command{
		Use:   "generate-key-pair [flags]",
		Short: "Make a pair of keys to sign and verify with",
		Long: `Make a pair of keys as cosign does: the private one, encrypted, in cosign.key, the
public one in cosign.pub. Files that are there are never overwritten. The
password is that of STRAKE_KEY_PASSWORD or COSIGN_PASSWORD, else it is asked
for, twice, on a terminal.`,
		Example: `  strake artifact generate-key-pair
  COSIGN_PASSWORD=… strake artifact generate-key-pair --output-prefix release`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "artifact generate-key-pair", &opts.outputFlags, func(*render.JSON) (printable, error) {
				password, err := t.newPassword(cmd.Context())
				if err != nil {
					return nil, err
				}
				private, public, err := signing.Generate(opts.prefix, password)
				if err != nil {
					return nil, err
				}
				return &keyPairResult{Private: private, Public: public}, nil
			})
		},
	}
	opts.addFormat(cmd)
	cmd.Flags().StringVar(&opts.prefix, "output-prefix", "cosign", "begin the names of the files with `PREFIX`")
	return cmd
}

// newPassword returns the password for a new key, from the environment or, typed twice, from a terminal.
func (t *tool) newPassword(ctx context.Context) ([]byte, error) {
	if password, ok := signing.Password(t.lookupEnv)(); ok {
		return password, nil
	}
	file, ok := t.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, stages.WithHint(errors.New("there is no password for the new key"), "set STRAKE_KEY_PASSWORD or COSIGN_PASSWORD; it may be empty")
	}
	first, err := t.askPassword(ctx, file, "Password for the private key: ")
	if err != nil {
		return nil, err
	}
	second, err := t.askPassword(ctx, file, "The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the passwords differ")
	}
	return first, nil
}

// askPassword reads a line that isn't shown. The terminal is as it was also after an interruption.
func (t *tool) askPassword(ctx context.Context, terminal *os.File, question string) ([]byte, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(t.err, question)
	defer fmt.Fprintln(t.err)
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- answer{text, err}
	}()
	select {
	case a := <-typed:
		return a.text, a.err
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}

type keyPairResult struct {
	Private string `json:"private"`
	Public  string `json:"public"`
}

func (r *keyPairResult) print(w io.Writer) {
	fmt.Fprintf(w, "private key: %s\npublic key:  %s\n", r.Private, r.Public)
}
