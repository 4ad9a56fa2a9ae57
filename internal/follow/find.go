package follow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// kindNames are the kinds by the names that kubectl has for them, too.
var kindNames = map[string]string{
	"service": "service", "svc": "service", "deployment": "deployment", "deploy": "deployment",
	"statefulset": "statefulset", "sts": "statefulset", "daemonset": "daemonset", "ds": "daemonset",
	"job": "job", "pod": "pod", "po": "pod",
}

// order is that in which kinds are tried.
var order = []string{"service", "deployment", "statefulset", "daemonset", "job", "pod"}

// Find returns a pod of the app's object that a port is of, one that is ready, and its port.
func Find(ctx context.Context, client kubernetes.Interface, objects []stages.Object, p Port) (kube.Pod, int, error) {
	o, err := object(objects, p)
	if err != nil {
		return kube.Pod{}, 0, err
	}
	selector, service, err := selectorOf(ctx, client, o)
	if err != nil {
		return kube.Pod{}, 0, err
	}
	var pods []core.Pod
	if selector == nil {
		pod, err := client.CoreV1().Pods(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		if err != nil {
			return kube.Pod{}, 0, err
		}
		pods = []core.Pod{*pod}
	} else {
		list, err := client.CoreV1().Pods(o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
		if err != nil {
			return kube.Pod{}, 0, err
		}
		pods = list.Items
	}
	pods = slices.DeleteFunc(pods, func(pod core.Pod) bool { return !kube.Ready(&pod) })
	if len(pods) == 0 {
		return kube.Pod{}, 0, fmt.Errorf("%s/%s has no pod that is ready", strings.ToLower(o.Kind), o.Name)
	}
	newest := slices.MaxFunc(pods, func(a, b core.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	port, err := target(service, &newest, p.Remote)
	return kube.Pod{Namespace: newest.Namespace, Name: newest.Name}, port, err
}

// object returns the app's object that is meant.
func object(objects []stages.Object, p Port) (stages.Object, error) {
	var names []string
	for _, kind := range order {
		for _, o := range objects {
			if !strings.EqualFold(o.Kind, kind) {
				continue
			}
			if o.Name == p.Name && (p.Kind == "" || p.Kind == kind) {
				return o, nil
			}
			if kind != "pod" {
				names = append(names, kind+"/"+o.Name)
			}
		}
	}
	name := p.Name
	if p.Kind != "" {
		name = p.Kind + "/" + name
	}
	err := fmt.Errorf("the app has no %s", name)
	if len(names) > 0 {
		return stages.Object{}, stages.WithHint(err, "it has %s", strings.Join(names, ", "))
	}
	return stages.Object{}, err
}

// selectorOf selects the pods of an object; nil for a pod. Of a Service, that is returned, too.
func selectorOf(ctx context.Context, client kubernetes.Interface, o stages.Object) (labels.Selector, *core.Service, error) {
	var (
		found *metav1.LabelSelector
		err   error
	)
	opts := metav1.GetOptions{}
	switch strings.ToLower(o.Kind) {
	case "pod":
		return nil, nil, nil
	case "service":
		s, err := client.CoreV1().Services(o.Namespace).Get(ctx, o.Name, opts)
		if err != nil {
			return nil, nil, err
		}
		if len(s.Spec.Selector) == 0 {
			return nil, nil, fmt.Errorf("service/%s selects no pods", o.Name)
		}
		return labels.SelectorFromSet(s.Spec.Selector), s, nil
	case "deployment":
		w, e := client.AppsV1().Deployments(o.Namespace).Get(ctx, o.Name, opts)
		found, err = w.Spec.Selector, e
	case "statefulset":
		w, e := client.AppsV1().StatefulSets(o.Namespace).Get(ctx, o.Name, opts)
		found, err = w.Spec.Selector, e
	case "daemonset":
		w, e := client.AppsV1().DaemonSets(o.Namespace).Get(ctx, o.Name, opts)
		found, err = w.Spec.Selector, e
	default:
		w, e := client.BatchV1().Jobs(o.Namespace).Get(ctx, o.Name, opts)
		found, err = w.Spec.Selector, e
	}
	if err != nil {
		return nil, nil, err
	}
	selector, err := metav1.LabelSelectorAsSelector(found)
	return selector, nil, err
}

// target is the port of a pod that a port of a Service leads to; without a Service it is the same.
func target(s *core.Service, pod *core.Pod, port int) (int, error) {
	if s == nil {
		return port, nil
	}
	var ports []string
	for _, p := range s.Spec.Ports {
		if int(p.Port) != port {
			ports = append(ports, fmt.Sprint(p.Port))
			continue
		}
		if p.TargetPort.StrVal == "" {
			if n := p.TargetPort.IntValue(); n != 0 {
				return n, nil
			}
			return port, nil
		}
		for _, c := range pod.Spec.Containers {
			for _, named := range c.Ports {
				if named.Name == p.TargetPort.StrVal {
					return int(named.ContainerPort), nil
				}
			}
		}
		return 0, fmt.Errorf("pod %s has no port %q, which service/%s names", pod.Name, p.TargetPort.StrVal, s.Name)
	}
	return 0, stages.WithHint(fmt.Errorf("service/%s has no port %d", s.Name, port), "it has %s", strings.Join(ports, ", "))
}
