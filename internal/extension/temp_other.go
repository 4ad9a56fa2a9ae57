//go:build !linux

package extension

import "os"

func newTemp() (dir string, release func(), err error) {
	dir, err = os.MkdirTemp("", "strake-plugin-")
	return dir, func() {}, err
}
