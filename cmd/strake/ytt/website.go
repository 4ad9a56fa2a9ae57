package ytt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	yttcmd "carvel.dev/ytt/pkg/cmd"
	"carvel.dev/ytt/pkg/cmd/template"
	"carvel.dev/ytt/pkg/website"
	"github.com/cppforlife/cobrautil"
	"github.com/spf13/cobra"
)

// serveWebsite has the website's templates rendered here. The library calls the program again for each,
// by the name that it was called by, which needn't be ytt.
func serveWebsite(cmd *cobra.Command) {
	o := yttcmd.NewWebsiteOptions()
	cmd.ResetFlags()
	cmd.Flags().AddFlagSet(yttcmd.NewWebsiteCmd(o).Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return website.NewServer(website.ServerOpts{
			ListenAddr:      o.ListenAddr,
			RedirectToHTTPS: o.RedirectToHTTPS,
			CheckCookie:     o.CheckCookie,
			TemplateFunc:    func(files []byte) ([]byte, error) { return renderBulk(cmd.Context(), files) },
			ErrorFunc:       func(err error) ([]byte, error) { return json.Marshal(template.BulkFiles{Errors: err.Error()}) },
		}).Run()
	}
	// As the library does it for all commands; the last one runs first.
	cobrautil.DisallowExtraArgs(cmd)
	cobrautil.WrapRunEForCmd(cobrautil.ResolveFlagsForCmd)(cmd)
}

// renderBulk renders files in ytt's bulk format.
func renderBulk(ctx context.Context, files []byte) ([]byte, error) {
	var out, errs bytes.Buffer
	p := Program{Stdout: &out, Stderr: &errs}
	if err := p.call(ctx, []string{"--bulk-in", string(files), "--bulk-out"}); err != nil {
		return nil, fmt.Errorf("error: %w", err)
	}
	return out.Bytes(), nil
}
