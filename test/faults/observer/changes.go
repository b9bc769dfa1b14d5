package observer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// registry is the prefix of all keys of the API server in etcd.
const registry = "/registry/"

// prefixes are the keys of the observed resources, below registry.
var prefixes = map[string]history.Resource{
	"pods/":                     history.Pods,
	"minions/":                  history.Nodes,
	"everynode.dev/daemonsets/": history.DaemonSets,
	"daemonsets/":               history.NativeDaemonSets,
	"controllerrevisions/":      history.ControllerRevisions,
	"runtimeclasses/":           history.RuntimeClasses,

	"configmaps/" + v1alpha1.SystemNamespace + "/" + v1alpha1.StopName: history.ConfigMaps,
}

// resourceOf returns the resource of a key, and false for keys that are not observed.
func resourceOf(key string) (history.Resource, bool) {
	key = strings.TrimPrefix(key, registry)
	for prefix, resource := range prefixes {
		if strings.HasPrefix(key, prefix) {
			return resource, true
		}
	}
	return "", false
}

// newDecoder returns a decoder of stored objects: protobuf of Kubernetes' own kinds, JSON of ours.
func newDecoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return serializer.NewCodecFactory(scheme).UniversalDeserializer(), nil
}

// stored is an object in etcd.
type stored struct {
	resource history.Resource
	object   client.Object
	revision int64
}

// changes follows etcd. Its records are in the order of revisions.
type changes struct {
	etcd    *clientv3.Client
	decoder runtime.Decoder

	mu      sync.Mutex
	objects map[string]stored // by key
	began   int64             // the revision of the first list
	seen    int64             // every change up to this revision was recorded
	records []history.Record
	wrong   error // an object that cannot be decoded
}

func newChanges(etcd *clientv3.Client) (*changes, error) {
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	return &changes{etcd: etcd, decoder: decoder, objects: map[string]stored{}}, nil
}

// retryDelay is the delay before etcd is read again after an error.
const retryDelay = 100 * time.Millisecond

// follow records changes until ctx ends. etcd may be unreachable in between.
func (c *changes) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for listed := false; ctx.Err() == nil && !listed; {
			listed = c.list(ctx) == nil || pause(ctx)
		}
		for compacted := false; ctx.Err() == nil && !compacted; {
			compacted = c.watch(ctx) || pause(ctx)
		}
	}
}

// pause delays the next attempt; it returns false.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
	case <-time.After(retryDelay):
	}
	return false
}

// list records how the present state differs from the last one that is known: at first, all objects; later, what happened in a
// gap.
func (c *changes) list(ctx context.Context) error {
	answer, err := c.etcd.Get(ctx, registry, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[string]stored{}
	for _, pair := range answer.Kvs {
		if object, observed := c.decode(string(pair.Key), pair.Value, pair.ModRevision); observed {
			now[string(pair.Key)] = object
		}
	}
	if c.began == 0 {
		c.began = answer.Header.Revision
	} else {
		c.markGap()
	}
	for _, key := range slices.SortedFunc(maps.Keys(now), func(a, b string) int { return int(now[a].revision - now[b].revision) }) {
		at := now[key].revision
		if c.seen > 0 { // when it changed is not known, nor what it was in between
			at = answer.Header.Revision
		}
		c.set(key, now[key], at)
	}
	for _, key := range slices.Sorted(maps.Keys(c.objects)) {
		if _, exists := now[key]; !exists {
			c.remove(key, answer.Header.Revision)
		}
	}
	c.seen = answer.Header.Revision
	return nil
}

func (c *changes) markGap() {
	for _, resource := range slices.Sorted(maps.Values(prefixes)) {
		c.add(history.Record{Mark: &history.Mark{
			Kind: history.Gap, Resource: resource, From: c.seen, Text: "etcd was compacted before it could be read",
		}})
	}
}

// watch records changes after the last known revision, until ctx ends or, which it reports, they have been compacted. The client
// resumes by itself when the connection breaks.
func (c *changes) watch(ctx context.Context) (compacted bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for answer := range c.etcd.Watch(ctx, registry, clientv3.WithPrefix(), clientv3.WithRev(c.revision()+1)) {
		if answer.Err() != nil {
			return answer.CompactRevision != 0
		}
		c.note(&answer)
	}
	return false
}

func (c *changes) note(answer *clientv3.WatchResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, event := range answer.Events {
		key := string(event.Kv.Key)
		if event.Type == clientv3.EventTypeDelete {
			c.remove(key, event.Kv.ModRevision)
		} else if object, observed := c.decode(key, event.Kv.Value, event.Kv.ModRevision); observed {
			c.set(key, object, object.revision)
		}
	}
	// The header's revision is etcd's present one: the events up to it may not all be in this answer.
	switch n := len(answer.Events); {
	case n > 0:
		c.seen = max(c.seen, answer.Events[n-1].Kv.ModRevision)
	case answer.IsProgressNotify():
		c.seen = max(c.seen, answer.Header.Revision)
	}
}

// set records that an object has changed, with the revision at which that was seen.
func (c *changes) set(key string, object stored, at int64) {
	before, existed := c.objects[key]
	kind := watch.Added
	switch {
	case existed && before.revision == object.revision:
		return
	case existed && before.object.GetUID() != object.object.GetUID(): // replaced during a gap
		c.remove(key, at)
	case existed:
		kind = watch.Modified
	}
	c.objects[key] = object
	c.add(history.Record{Revision: at, Change: &history.Change{Type: kind, Resource: object.resource, Object: object.object}})
}

func (c *changes) remove(key string, revision int64) {
	if before, existed := c.objects[key]; existed {
		delete(c.objects, key)
		c.add(history.Record{Revision: revision, Change: &history.Change{Type: watch.Deleted, Resource: before.resource, Object: before.object}})
	}
}

// add stamps a record with the observer's clock.
func (c *changes) add(record history.Record) {
	record.At = time.Now()
	c.records = append(c.records, record)
}

func (c *changes) decode(key string, value []byte, revision int64) (stored, bool) {
	resource, observed := resourceOf(key)
	if !observed {
		return stored{}, false
	}
	decoded, _, err := c.decoder.Decode(value, nil, nil)
	object, typed := decoded.(client.Object)
	if err != nil || !typed {
		c.wrong = errors.Join(c.wrong, fmt.Errorf("decoding %s: %w", key, err))
		return stored{}, false
	}
	object.SetResourceVersion(strconv.FormatInt(revision, 10))
	return stored{resource, object, revision}, true
}

func (c *changes) revision() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// progressPoll is the interval at which etcd is asked how far the watch is.
const progressPoll = 10 * time.Millisecond

// catchUp waits until every change that is committed now has been recorded.
func (c *changes) catchUp(ctx context.Context) error {
	answer, err := c.etcd.Get(ctx, registry, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("reading etcd's revision: %w", err)
	}
	tick := time.NewTicker(progressPoll)
	defer tick.Stop()
	for c.revision() < answer.Header.Revision {
		if err := c.etcd.RequestProgress(ctx); err != nil {
			return fmt.Errorf("asking for the progress of the watch: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("at revision %d of %d: %w", c.revision(), answer.Header.Revision, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// mark records a remark of the test.
func (c *changes) mark(mark history.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(history.Record{Mark: &mark})
}

// result returns all records and the revision at which they begin, or what could not be decoded.
func (c *changes) result() ([]history.Record, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records), c.began, c.wrong
}
