package ytt

import (
	"runtime/debug"
	"strings"

	"carvel.dev/ytt/pkg/version"
)

// Version is that of the embedded ytt, as in v0.53.0. Templates see the one that was set at link
// time (-X carvel.dev/ytt/pkg/version.Version=0.53.0); where none was, the build's own record tells.
func Version() string {
	if version.Version != "develop" {
		return "v" + strings.TrimPrefix(version.Version, "v")
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "carvel.dev/ytt" {
				return dep.Version + "-develop"
			}
		}
	}
	return version.Version
}
