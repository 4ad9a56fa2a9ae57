// Command answer prints what a deployed app says: it runs wget inside one of the app's ready pods,
// so that the request comes from the pod's own network, and it needs nothing but access to the
// cluster's API.
//
//	go run ./examples/answer [-namespace default] [-selector app=simple-app] [-port 8080]
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
)

func main() {
	namespace := flag.String("namespace", "default", "namespace of the app")
	selector := flag.String("selector", "app.kubernetes.io/name=simple-app", "labels of the app's pods")
	port := flag.Int("port", 8080, "port that the app listens on")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answer, err := ask(ctx, *namespace, *selector, *port)
	if err != nil {
		fmt.Fprintln(os.Stderr, "answer:", err)
		os.Exit(1)
	}
	fmt.Print(answer)
}

func ask(ctx context.Context, namespace, selector string, port int) (string, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return "", err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	pod, err := readyPod(ctx, client, namespace, selector)
	if err != nil {
		return "", err
	}
	return exec(ctx, config, client, pod, "wget", "-qO-", "-T", "10", fmt.Sprintf("http://127.0.0.1:%d/", port))
}

// readyPod returns the youngest pod that is ready and not about to go.
func readyPod(ctx context.Context, client kubernetes.Interface, namespace, selector string) (*corev1.Pod, error) {
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var found *corev1.Pod
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil || !ready(pod) {
			continue
		}
		if found == nil || found.CreationTimestamp.Before(&pod.CreationTimestamp) {
			found = pod
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no pod with labels %s in namespace %s is ready", selector, namespace)
	}
	return found, nil
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func exec(ctx context.Context, config *rest.Config, client kubernetes.Interface, pod *corev1.Pod, command ...string) (string, error) {
	req := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: pod.Spec.Containers[0].Name, Command: command, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", req.URL().String())
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return "", errors.Join(fmt.Errorf("in pod %s: %w", pod.Name, err), errors.New(stderr.String()))
	}
	return stdout.String(), nil
}
