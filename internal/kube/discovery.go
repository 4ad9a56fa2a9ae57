package kube

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/disk"
	"k8s.io/client-go/discovery/cached/memory"
)

// discoveryTTL is how long kubectl believes what it knows of a server's types.
const discoveryTTL = 6 * time.Hour

// Discovery returns what tells the types that the API server has, from kubectl's own files where it can
// (KUBECACHEDIR, else ~/.kube/cache): each of kubectl and strake finds what the other has learned. All
// requests are bound to ctx. Where the files can't be written, or there is no home folder, it remembers
// in memory only.
//
// What it says may be hours old, so that it must not be believed that a type is missing: the caller
// has to call Invalidate then, and ask again. Nor does it tell whether the server can be reached.
func (c *Cluster) Discovery(ctx context.Context) (discovery.CachedDiscoveryInterface, error) {
	config, err := c.Config(ctx)
	if err != nil {
		return nil, err
	}
	dir := discoveryCache()
	if dir == "" {
		client, err := discovery.NewDiscoveryClientForConfig(config)
		if err != nil {
			return nil, err
		}
		return memory.NewMemCacheClient(client), nil
	}
	return disk.NewCachedDiscoveryClientForConfig(config,
		filepath.Join(dir, "discovery", hostFolder(withoutUser(config.Host))), filepath.Join(dir, "http"), discoveryTTL)
}

// discoveryCache is kubectl's folder for what it has learned of servers; empty if there is no home.
func discoveryCache() string {
	if dir := os.Getenv("KUBECACHEDIR"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".kube", "cache")
}

// unusual are the characters that kubectl takes out of a host for the name of its folder.
var unusual = regexp.MustCompile(`[^(\w/.)]`)

// hostFolder is the name of kubectl's folder for a server, as in
// k8s.io/cli-runtime/pkg/genericclioptions, computeDiscoverCacheDir.
func hostFolder(host string) string {
	return unusual.ReplaceAllString(strings.Replace(strings.Replace(host, "https://", "", 1), "http://", "", 1), "_")
}
