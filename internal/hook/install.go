package hook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"strake.dev/strake/stages"
)

// Tools are the programs of kapp-controller that strake can be, by their names.
var Tools = []string{"vendir", "ytt", "kbld", "kapp"}

// program is strake's own name among them.
const program = "strake"

// CheckTools tells whether all names are those of tools.
func CheckTools(names []string) error {
	for _, name := range names {
		if !slices.Contains(Tools, name) {
			return stages.WithHint(fmt.Errorf("%q is none of kapp-controller's tools", name), "expected some of %s", strings.Join(Tools, ", "))
		}
	}
	return nil
}

// Install copies a program to a folder, as strake, with links to it that have the names of tools. Links of
// an earlier Install to other tools are removed. At any moment, what is there is whole.
func Install(self, dir string, tools []string) error {
	if err := CheckTools(tools); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Files that others have put there are theirs.
	for _, name := range tools {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return stages.WithHint(fmt.Errorf("%s is there, and no link", filepath.Join(dir, name)), "remove it, or choose another folder")
		}
	}
	if err := copyProgram(self, filepath.Join(dir, program)); err != nil {
		return err
	}
	for _, name := range Tools {
		link := filepath.Join(dir, name)
		var err error
		if slices.Contains(tools, name) {
			err = replaceLink(link)
		} else if to, _ := os.Readlink(link); to == program {
			err = os.Remove(link)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// executable is the mode of the program: whatever user a container runs as may run it.
const executable = 0o755

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".strake-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Chmod(executable), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// replaceLink makes a link to the program beside it.
func replaceLink(link string) error {
	temp := fmt.Sprintf("%s.%d", filepath.Join(filepath.Dir(link), ".strake-link"), os.Getpid())
	if err := os.Symlink(program, temp); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	defer os.Remove(temp)
	return os.Rename(temp, link)
}
