//go:build !linux

package extension

import "io/fs"

func onDisk(info fs.FileInfo) int64 { return info.Size() }
