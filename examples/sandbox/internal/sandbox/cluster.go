package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// node is the part of a Node object that tells whether pods can be put on it.
type node struct {
	Spec struct {
		Taints []struct{ Key string }
	}
	Status struct {
		Conditions []struct {
			Type, Status, Message string
			LastHeartbeatTime     time.Time
		}
	}
}

// ready says why no pod would run on the node. What the node reported before since is out of date: a
// node that was stopped is Ready in the records until somebody misses it.
func (n *node) ready(since time.Time) error {
	for _, c := range n.Status.Conditions {
		if c.Type != "Ready" {
			continue
		}
		if c.Status != "True" {
			return errors.New("node is not ready: " + c.Message)
		}
		// The time is reported in whole seconds.
		if c.LastHeartbeatTime.Before(since.Truncate(time.Second)) {
			return errors.New("node has not reported since it was started")
		}
		// The taint of a node that was not ready goes a moment after it is.
		if len(n.Spec.Taints) > 0 {
			return errors.New("node has taint " + n.Spec.Taints[0].Key)
		}
		return nil
	}
	return errors.New("node has not reported yet")
}

// awaitNode waits until the node takes pods.
func (u *upRun) awaitNode(ctx context.Context) error {
	since := u.daemons.began("kubelet")
	return u.awaitObject(ctx, func(ctx context.Context, get getter) error {
		var n node
		if err := get(ctx, "/api/v1/nodes/"+u.Node, &n); err != nil {
			return err
		}
		return n.ready(since)
	})
}

// awaitServiceAccount waits for what pods need to be admitted and to start.
func (u *upRun) awaitServiceAccount(ctx context.Context) error {
	return u.awaitObject(ctx, func(ctx context.Context, get getter) error {
		var object struct{}
		return errors.Join(
			get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", &object),
			get(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", &object),
		)
	})
}

// A getter reads an object from the API server.
type getter func(ctx context.Context, path string, dst any) error

func (u *upRun) awaitObject(ctx context.Context, ready func(context.Context, getter) error) error {
	client, err := u.Client()
	if err != nil {
		return err
	}
	defer client.HTTP.CloseIdleConnections()
	return u.await(ctx, nil, func(ctx context.Context) error { return ready(ctx, client.Get) })
}

// createNode makes the object of a node that nothing registers by itself.
func (u *upRun) createNode(ctx context.Context) error {
	client, err := u.Client()
	if err != nil {
		return err
	}
	defer client.HTTP.CloseIdleConnections()
	type object = map[string]any
	err = client.Create(ctx, "/api/v1/nodes", object{
		"apiVersion": "v1",
		"kind":       "Node",
		"metadata": object{"name": u.Node, "labels": map[string]string{
			"kubernetes.io/hostname": u.Node,
			"kubernetes.io/os":       "linux",
			"kubernetes.io/arch":     runtime.GOARCH,
			"type":                   "kwok",
		}},
	})
	if err != nil {
		return fmt.Errorf("create node: %w", err)
	}
	return nil
}
