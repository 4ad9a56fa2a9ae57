// Package kapprecord reads the record that kapp keeps of an app, for those who take the app over. Source:
// https://github.com/carvel-dev/kapp, pkg/kapp/app.
package kapprecord

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// Suffix is the end of the names of records that kapp was told to make unmistakable.
	Suffix = ".apps.k14s.io"
	// Manager is the field manager of kapp.
	Manager = "kapp"
	// ChangeLabel marks the records of an app's changes; their other label has the app's label value.
	ChangeLabel = "kapp.k14s.io/is-app-change"
	// ChangeAppLabel is the label of records of changes, with the value of the app's own label.
	ChangeAppLabel = "kapp.k14s.io/app-change-app-label"
	// Versioned is the annotation of objects that get another name with each change.
	Versioned = "kapp.k14s.io/versioned"
	// Identity is the annotation of all objects that kapp has applied.
	Identity = "kapp.k14s.io/identity"
)

// Labels are those that kapp gives to the objects of an app, and where it is needed to their selectors
// and pods.
var Labels = []string{"kapp.k14s.io/app", "kapp.k14s.io/association"}

// Annotations are those that kapp gives to the objects of an app.
var Annotations = []string{Identity, "kapp.k14s.io/original", "kapp.k14s.io/original-diff-md5"}

// A Record is what kapp knows of an app.
type Record struct {
	LabelKey   string `json:"labelKey"`
	LabelValue string `json:"labelValue"`
	// Kinds are those of the app's objects; nil if an old kapp hasn't written them down.
	Kinds []schema.GroupKind `json:"usedGKs"`
}

// Read reads a record.
func Read(m *corev1.ConfigMap) (Record, error) {
	var r Record
	if err := json.Unmarshal([]byte(m.Data["spec"]), &r); err != nil || r.LabelKey == "" || r.LabelValue == "" {
		return Record{}, fmt.Errorf("configmap/%s (namespace %s) is not kapp's record of an app", m.Name, m.Namespace)
	}
	return r, nil
}
