package kbld

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/stages"
)

func TestRawOptions(t *testing.T) {
	for _, c := range []struct {
		args []string
		want request
		err  string
	}{
		{args: nil, want: request{}},
		{args: []string{"--build-arg=A=1", "--build-arg", "B=x=y"}, want: request{options: buildkit.Options{Args: map[string]string{"A": "1", "B": "x=y"}}}},
		{args: []string{"--build-arg=A="}, want: request{options: buildkit.Options{Args: map[string]string{"A": ""}}}},
		{args: []string{"--label", "a=b"}, want: request{options: buildkit.Options{Labels: map[string]string{"a": "b"}}}},
		{args: []string{"--target=x"}, want: request{options: buildkit.Options{Target: "x"}}},
		{args: []string{"--platform", "linux/amd64,linux/386"}, want: request{options: buildkit.Options{Platforms: []string{"linux/amd64", "linux/386"}}}},
		{args: []string{"--no-cache", "--pull=false"}, want: request{options: buildkit.Options{NoCache: true}}},
		{args: []string{"-f", "D"}, want: request{dockerfile: "D"}},
		{args: []string{"-fD"}, want: request{dockerfile: "D"}},
		{args: []string{"-f=D"}, want: request{dockerfile: "D"}},
		{args: []string{"--file=a/../D"}, want: request{dockerfile: "a/../D"}},
		{args: []string{"--build-arg=A"}, err: `--build-arg: expected NAME=VALUE, found "A"`},
		{args: []string{"--build-arg==b"}, err: "expected NAME=VALUE"},
		{args: []string{"--target"}, err: "--target: its value is missing"},
		{args: []string{"--pull=maybe"}, err: `--pull: expected true or false, found "maybe"`},
		{args: []string{"--secret=id=x"}, err: `"--secret" is not supported`},
		{args: []string{"stray"}, err: `"stray" is not supported`},
		{args: []string{""}, err: `"" is not supported`},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var got request
			err := got.addRaw(c.args)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error: %v, expected %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(request{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRawOptions(f *testing.F) {
	f.Add("--build-arg=A=1\n--target\nx\n-fD\n--pull\n--platform=linux/amd64,")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		var r request
		err := r.addRaw(args)
		if err != nil {
			if err.Error() == "" || strings.Contains(stages.Hint(err), "\x00") {
				t.Errorf("error %q", err)
			}
			return
		}
		for name := range r.options.Args {
			if name == "" {
				t.Errorf("an argument without a name from %q", args)
			}
		}
	})
}
