package kapp

import (
	"slices"
	"strings"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"strake.dev/strake/internal/why"
)

// why finds out the reason of an object's trouble. It returns a text to add to an error, and an empty
// one if there is nothing to tell or it may not be read.
func (s *session) why(o object) string {
	all, err := s.clients.types.All(false)
	if err != nil {
		return ""
	}
	i := slices.IndexFunc(all, func(t ctlres.ResourceType) bool {
		return t.GroupVersion().String() == o.apiVersion && strings.EqualFold(t.Kind, o.kind)
	})
	if i < 0 {
		return ""
	}
	client, err := dynamic.NewForConfigAndClient(s.clients.config, s.clients.http)
	if err != nil {
		return ""
	}
	live, err := client.Resource(all[i].GroupVersionResource).Namespace(o.namespace).Get(s.ctx, o.name, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return why.Trouble(s.ctx, s.clients.core, live)
}
