package buildkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const podScheme = "kube-pod"

// A podPlace is what a kube-pod:// address says.
type podPlace struct {
	pod kube.Pod
	// context is a context of the user's kubeconfig; empty is the current one.
	context string
	// port is where to forward to; 0 runs “buildctl dial-stdio”.
	port int
}

var (
	podKeys = []string{"container", "context", "namespace", "port"}
	// podWord is what names of pods, namespaces and containers consist of.
	podWord = regexp.MustCompile(`^[a-z0-9][-a-z0-9.]*$`)
)

func parsePod(u *url.URL) (podPlace, error) {
	fail := func(format string, args ...any) (podPlace, error) {
		return podPlace{}, fmt.Errorf("BuildKit address %q: %s", clean(u.String()), fmt.Sprintf(format, args...))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.User != nil || u.Path != "" || u.Port() != "" {
		return fail("expected something like %s", schemes[podScheme])
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(podKeys, key) {
			_, err := fail("unknown parameter %q, expected one of %s", key, strings.Join(podKeys, ", "))
			return podPlace{}, stages.WithHint(err, "%s", schema.Suggest(key, podKeys))
		}
	}
	p := podPlace{
		pod:     kube.Pod{Name: u.Hostname(), Namespace: query.Get("namespace"), Container: query.Get("container")},
		context: query.Get("context"),
	}
	for kind, value := range map[string]string{"pod": p.pod.Name, "namespace": p.pod.Namespace, "container": p.pod.Container} {
		if value != "" && !podWord.MatchString(value) {
			return fail("%q is not the name of a %s", value, kind)
		}
	}
	if text := query.Get("port"); text != "" {
		if p.port, err = strconv.Atoi(text); err != nil || p.port < 1 || p.port > 65535 {
			return fail("port: expected a number from 1 to 65535, found %q", text)
		}
	}
	return p, nil
}

// podAddress is the address of a pod's daemon; [parsePod] reads it.
func podAddress(pod kube.Pod, port int) string {
	query := url.Values{"namespace": {pod.Namespace}}
	if pod.Container != "" {
		query.Set("container", pod.Container)
	}
	if port != 0 {
		query.Set("port", strconv.Itoa(port))
	}
	return podScheme + "://" + pod.Name + "?" + query.Encode()
}

// dialPod connects to the daemon in a pod.
func (c *Client) dialPod(ctx context.Context, p podPlace) (net.Conn, error) {
	if c.opts.Cluster == nil {
		return nil, errors.New("no Kubernetes cluster is configured")
	}
	cluster := c.opts.Cluster.WithContext(p.context)
	if p.port != 0 {
		return cluster.Forward(ctx, p.pod, p.port)
	}
	return cluster.Exec(ctx, p.pod, "buildctl", "dial-stdio")
}
