// Package revisions records the deploys of an app with their manifests, so that an earlier one can be
// deployed again. A record is a Secret of the type strake.dev/revision beside the app's own record,
// because manifests may hold secrets; what lists tell is in its metadata, so that listing transfers no
// manifests. A deploy that changes something takes three requests, and one more for each record that is
// trimmed.
package revisions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/stages"
)

// SecretType is that of the records.
const SecretType core.SecretType = "strake.dev/revision"

// Kept is how many records of an app are kept; the latest that succeeded stays beyond them.
const Kept = 10

// The metadata of a record. Chunks have all labels but the number.
const (
	labelApp          = "strake.dev/app"
	labelPlugin       = "strake.dev/plugin"
	labelRevision     = "strake.dev/revision"
	annotationRecord  = "strake.dev/revision"
	annotationChunks  = "strake.dev/chunks"
	annotationOutcome = "strake.dev/outcome"
	annotationMessage = "strake.dev/message"
)

// The outcomes of a deploy.
const (
	Succeeded  = "succeeded"
	Failed     = "failed"
	Unfinished = "unfinished"
)

// finishing is how long the end of a record may take once the deploy has ended.
const finishing = 5 * time.Second

// A Store has the records of one app. It is not safe for concurrent use.
type Store struct {
	// Client must not be bound to the context of a run, whose end is recorded too.
	Client kubernetes.Interface
	// Namespace is that of the app's record; App is the name of it, Plugin that of the deploy plugin.
	Namespace, App, Plugin string
	// Owner is the app's record in the same namespace, with which the revisions go; nil is none.
	Owner *metav1.OwnerReference

	// listed is what Begin has found, for trimming.
	listed []entry
}

// An entry is a record as it is listed.
type entry struct {
	stages.Revision
	chunks int
}

// Begin records a deploy that is about to change the first object, as unfinished, and returns its
// number, which it gives. It sets Applied unless that is set, and Digest and Kept. Manifests that are
// too large aren't kept. An error for which apierrors.IsForbidden holds means that the identity has no
// right to keep records, without which a deploy may well go on.
func (s *Store) Begin(ctx context.Context, r stages.Revision, manifests stages.Manifests) (int, error) {
	var err error
	if s.listed, err = s.list(ctx); err != nil {
		return 0, err
	}
	chunks, err := pack(manifests)
	if err != nil {
		return 0, err
	}
	r.Digest, r.Outcome, r.Kept = manifests.Digest(), Unfinished, len(chunks) > 0
	if r.Applied.IsZero() {
		r.Applied = time.Now().UTC().Truncate(time.Second)
	}
	r.Number = 1
	if len(s.listed) > 0 {
		r.Number = s.listed[0].Number + 1
	}
	for {
		err := s.create(ctx, r, chunks)
		if err == nil {
			break
		}
		if !apierrors.IsAlreadyExists(err) {
			return 0, fmt.Errorf("history of %s: %w", s.App, err)
		}
		r.Number++ // of a deploy that another one has recorded meanwhile
	}
	s.listed = slices.Insert(s.listed, 0, entry{r, len(chunks)})
	return r.Number, nil
}

// create makes the Secret that is listed first, so that chunks never stand alone.
func (s *Store) create(ctx context.Context, r stages.Revision, chunks [][]byte) error {
	record, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for i := range max(len(chunks), 1) {
		secret := &core.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: s.name(r.Number, i), Namespace: s.Namespace, Labels: s.labels(),
			},
			Type: SecretType,
		}
		if i == 0 {
			secret.Labels[labelRevision] = strconv.Itoa(r.Number)
			secret.Annotations = map[string]string{
				annotationRecord: string(record), annotationOutcome: r.Outcome, annotationChunks: strconv.Itoa(len(chunks)),
			}
		}
		if s.Owner != nil {
			secret.OwnerReferences = []metav1.OwnerReference{*s.Owner}
		}
		if len(chunks) > 0 {
			secret.Data = map[string][]byte{dataKey: chunks[i]}
		}
		if _, err := s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// Finish records how a deploy ended, also when ctx has ended, and deletes records beyond the newest.
// The message may be empty.
func (s *Store) Finish(ctx context.Context, number int, outcome, message string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	annotations := map[string]string{annotationOutcome: outcome}
	if message != "" {
		annotations[annotationMessage] = message
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = s.Client.CoreV1().Secrets(s.Namespace).Patch(ctx, s.name(number, 0), types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("history of %s: %w", s.App, err)
	}
	for i := range s.listed {
		if s.listed[i].Number == number {
			s.listed[i].Outcome = outcome
		}
	}
	return s.trim(ctx)
}

// trim deletes what is beyond the newest, except the latest that can be gone back to.
func (s *Store) trim(ctx context.Context) error {
	back := slices.IndexFunc(s.listed, func(e entry) bool { return e.Outcome == Succeeded && e.Kept })
	for i, e := range s.listed {
		if i < Kept || i == back {
			continue
		}
		for chunk := max(e.chunks, 1) - 1; chunk >= 0; chunk-- {
			err := s.Client.CoreV1().Secrets(s.Namespace).Delete(ctx, s.name(e.Number, chunk), metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("history of %s: %w", s.App, err)
			}
		}
	}
	return nil
}

// List returns the recorded deploys, the latest first, by one request that transfers no manifests.
func (s *Store) List(ctx context.Context) ([]stages.Revision, error) {
	entries, err := s.list(ctx)
	var all []stages.Revision
	for _, e := range entries {
		all = append(all, e.Revision)
	}
	return all, err
}

func (s *Store) list(ctx context.Context) ([]entry, error) {
	text, err := s.Client.CoreV1().RESTClient().Get().Namespace(s.Namespace).Resource("secrets").
		Param("labelSelector", labels.Set(s.labels()).AsSelector().String()+","+labelRevision).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", s.App, err)
	}
	var found metav1.PartialObjectMetadataList
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, fmt.Errorf("history of %s: the API server's answer: %w", s.App, err)
	}
	var all []entry
	for _, item := range found.Items {
		if e, ok := read(&item.ObjectMeta); ok && item.Name == s.name(e.Number, 0) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(b.Number, a.Number) })
	return all, nil
}

// read tells what the metadata of a record say; ok is false for something else.
func read(meta *metav1.ObjectMeta) (e entry, ok bool) {
	if json.Unmarshal([]byte(meta.Annotations[annotationRecord]), &e.Revision) != nil || e.Number < 1 {
		return entry{}, false
	}
	e.Outcome = cmp.Or(meta.Annotations[annotationOutcome], e.Outcome)
	e.Message = cmp.Or(meta.Annotations[annotationMessage], e.Message)
	chunks, err := strconv.Atoi(meta.Annotations[annotationChunks])
	if err != nil || chunks < 0 || chunks > maxChunks {
		return entry{}, false
	}
	e.chunks = chunks
	return e, true
}

// Recall returns the manifests of a recorded deploy; the error wraps [stages.ErrNoRevision] if they
// aren't there.
func (s *Store) Recall(ctx context.Context, number int) (stages.Manifests, error) {
	where := fmt.Sprintf("revision %d of %s", number, s.App)
	var chunks [][]byte
	var record entry
	for i := 0; i == 0 || i < record.chunks; i++ {
		secret, err := s.Client.CoreV1().Secrets(s.Namespace).Get(ctx, s.name(number, i), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if i == 0 {
				return nil, fmt.Errorf("%s: %w", where, stages.ErrNoRevision)
			}
			return nil, fmt.Errorf("%s: a part of its manifests is missing: %w", where, stages.ErrNoRevision)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if i == 0 {
			var ok bool
			if record, ok = read(&secret.ObjectMeta); !ok || secret.Type != SecretType {
				return nil, fmt.Errorf("%s: Secret %s is no record of a deploy: %w", where, secret.Name, stages.ErrNoRevision)
			}
			if record.chunks == 0 {
				return nil, fmt.Errorf("%s: its manifests were too large to be kept: %w", where, stages.ErrNoRevision)
			}
		}
		chunks = append(chunks, secret.Data[dataKey])
	}
	manifests, err := unpack(chunks)
	if err != nil {
		return nil, fmt.Errorf("%s: its manifests can't be read: %w", where, err)
	}
	if manifests.Digest() != record.Digest {
		return nil, fmt.Errorf("%s: its manifests aren't those that were deployed: somebody has changed them", where)
	}
	return manifests, nil
}

func (s *Store) labels() map[string]string {
	return map[string]string{labelApp: short(s.App, 63), labelPlugin: s.Plugin}
}

// name is that of a revision's Secret, or of a further chunk.
func (s *Store) name(number, chunk int) string {
	name := fmt.Sprintf("%s.strake.v%d", short(s.App, 200), number)
	if chunk > 0 {
		name = fmt.Sprintf("%s.%d", name, chunk+1)
	}
	return name
}

// short replaces the end of a name that is too long by a digest.
func short(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:limit-11] + "-" + hex.EncodeToString(sum[:5])
}
