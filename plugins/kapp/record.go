package kapp

import (
	"encoding/json"
	"fmt"
	"time"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	apitypes "k8s.io/apimachinery/pkg/types"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/stages"
)

// A record is what kapp has stored of an app, a ConfigMap, and what strake has added to it. kapp
// replaces the ConfigMap's data as a whole whenever it writes, so that what was added is gone once
// kapp has deployed the app by itself.
type record struct {
	config *corev1.ConfigMap
	meta   ctlapp.Meta
	// note is strake's; nil if somebody else deployed last.
	note *note
	// proof is nil if there is none that can be used.
	proof *live.Proof
}

// Keys of the record's data, beside kapp's own “spec”.
const (
	noteKey  = "strake"
	proofKey = "strake-proof"
)

// maxProof bounds the size of a proof in bytes: a ConfigMap may hold 1 MiB in all.
const maxProof = 768 << 10

// A note says in the record what was deployed.
type note struct {
	By      string `json:"by"`
	Objects int    `json:"objects"`
	Digest  string `json:"digest"`
	stages.Origin
	Applied time.Time `json:"applied"`
}

// readRecord reads the record of an app; nil if there is none.
func (s *session) readRecord(app string) (*record, error) {
	// The longer name is that of apps which kapp was told to give it; it wins where there are both.
	for _, name := range []string{app, app + ctlapp.AppSuffix} {
		c, err := s.clients.core.CoreV1().ConfigMaps(s.target.record).Get(s.ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("record of the app: %w", s.explain(err))
		}
		r, err := newRecord(c)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	return nil, nil
}

func newRecord(c *corev1.ConfigMap) (*record, error) {
	meta, err := ctlapp.NewAppMetaFromData(c.Data)
	if err != nil || meta.LabelValue == "" {
		return nil, stages.WithHint(
			fmt.Errorf("ConfigMap %s in namespace %s has the name of the app's record and isn't one", c.Name, c.Namespace),
			"give the App or the ConfigMap another name")
	}
	r := &record{config: c, meta: meta}
	var n note
	if text, ok := c.Data[noteKey]; ok && json.Unmarshal([]byte(text), &n) == nil {
		r.note = &n
	}
	if text, ok := c.Data[proofKey]; ok {
		// One that can't be read is from another version: what it proves has to be found out again.
		r.proof, _ = live.DecodeProof(text)
	}
	return r, nil
}

// same tells whether nobody has written to a record in between.
func (r *record) same(before *record) bool {
	if r == nil || before == nil {
		return r == before
	}
	return r.config.UID == before.config.UID && r.config.ResourceVersion == before.config.ResourceVersion
}

// selector finds the app's objects.
func selector(meta ctlapp.Meta) labels.Selector { return labels.SelectorFromSet(meta.Labels()) }

// written is the server's time of the last write to the record.
func (r *record) written() time.Time {
	at := r.config.CreationTimestamp.Time
	for _, f := range r.config.ManagedFields {
		if f.Time != nil && f.Time.After(at) {
			at = f.Time.Time
		}
	}
	return at
}

// annotate adds to the record what was deployed. It is not an error if that can't be written: the app
// is deployed all the same, and the next deploy only takes longer.
func (s *session) annotate(name string, n note, proof *live.Proof) {
	text, err := json.Marshal(n)
	if err != nil {
		return
	}
	data := map[string]any{noteKey: string(text), proofKey: nil}
	if proof != nil {
		encoded, err := proof.Encode()
		if err != nil {
			return
		}
		if len(encoded) < maxProof {
			data[proofKey] = encoded
		}
	}
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return
	}
	_, err = s.clients.core.CoreV1().ConfigMaps(s.target.record).Patch(s.ctx, name, apitypes.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && s.ctx.Err() == nil {
		stages.Warn(s.events, fmt.Sprintf("record of the app: %s; the next run has to compare everything again", s.target.cluster.Explain(err)))
	}
}

// touch calls f within kapp's record of a change, which is closed also when the session has ended.
func (s *session) touch(app *ctlapp.RecordedApp, meta ctlapp.ChangeMeta, keep int, f func() error) error {
	var change ctlapp.Change
	err := s.objects.retry(func(bool) (err error) {
		change, err = app.BeginChange(meta, keep)
		return err
	})
	if err != nil {
		return fmt.Errorf("record of the app: %w", s.explain(err))
	}
	if err := f(); err != nil {
		_ = s.objects.retry(func(bool) error { return change.Fail() })
		return err
	}
	// The app is as it has to be, also if that can't be recorded.
	_ = s.objects.retry(func(bool) error { return change.Succeed() })
	return nil
}
