package cells

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/daemonset"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// readOwnerEvery is how long an answer about a DaemonSet is valid: a node pool that is drained costs one
// request a second, not one for each node, and few pods are created in that time, because cells back off.
const readOwnerEvery = time.Second

// owners reads DaemonSets from the API server, for cells whose pod vanished: the garbage collector deletes the
// pods of a DaemonSet that is gone, and until the watch shows that, it would delete every new pod too.
type owners struct {
	state  *state.State
	reader client.Reader // of the API server, not of the cache

	mu    sync.Mutex
	known map[daemon.WorkloadKey]*owner
}

// owner is the result for one DaemonSet. It is locked during a read, so that concurrent callers get the same
// answer.
type owner struct {
	mu    sync.Mutex
	at    time.Time
	there bool
}

func newOwners(of *state.State, reader client.Reader) *owners {
	return &owners{state: of, reader: reader, known: map[daemon.WorkloadKey]*owner{}}
}

// there reports whether a DaemonSet exists and is not being deleted. For any other, nothing is planned any
// more.
func (o *owners) there(ctx context.Context, owner *daemon.Workload) (bool, error) {
	key := owner.Key
	of := o.of(key)
	of.mu.Lock()
	defer of.mu.Unlock()
	if of.there && o.state.Now().Sub(of.at) < readOwnerEvery {
		return true, nil
	}
	there, err := daemonset.Exists(ctx, o.reader, owner)
	if err != nil {
		return false, err
	}
	of.at, of.there = o.state.Now(), there
	if !there {
		o.state.Update(func(u model.Update) { u.OwnerGone(key) })
		o.forget(key)
	}
	return there, nil
}

func (o *owners) of(key daemon.WorkloadKey) *owner {
	o.mu.Lock()
	defer o.mu.Unlock()
	of, known := o.known[key]
	if !known {
		of = &owner{}
		o.known[key] = of
	}
	return of
}

func (o *owners) forget(key daemon.WorkloadKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, key)
}
