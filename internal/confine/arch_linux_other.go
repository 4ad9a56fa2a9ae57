//go:build linux && !amd64 && !arm64

package confine

const (
	auditArch = 0 // no filter is installed
	x32Bit    = 0
)

var chmodCalls []uint32
