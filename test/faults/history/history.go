// Package history is what an observer saw of a cluster: changes of objects, requests to the API server, and marks of
// the one who drives the test. A simulation and a lab write the same records, and package checker judges both. It
// knows nothing of Everynode's code but its API types.
package history

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// History is a sequence of records in the order in which the cluster changed: by revision where records have one, and a
// request before the changes that it caused.
type History struct {
	// Title says what was run, with all that is needed to run it again: a seed, a fault, versions.
	Title string `json:"title"`
	// Controllers, Schedulers and Webhooks are the user names of Everynode's programs, as requests carry them.
	Controllers []string `json:"controllers"`
	Schedulers  []string `json:"schedulers"`
	Webhooks    []string `json:"webhooks"`

	Records []Record `json:"-"`
}

// Record is one thing that happened. One of Change, Request and Mark is set.
type Record struct {
	// At is the time by one clock: that of the observer, or the virtual one of a simulation. For a request it is when the API
	// server received it.
	At time.Time `json:"at"`
	// Revision is etcd's revision of a change, which orders changes of all resources; 0 for other records.
	Revision int64 `json:"revision,omitempty"`

	Change  *Change  `json:"change,omitempty"`
	Request *Request `json:"request,omitempty"`
	Mark    *Mark    `json:"mark,omitempty"`
}

// Resource is a resource whose changes are recorded, in the form of kubectl.
type Resource string

// The resources that the checker needs.
const (
	Pods                Resource = "pods"
	Nodes               Resource = "nodes"
	DaemonSets          Resource = "daemonsets.everynode.dev"
	NativeDaemonSets    Resource = "daemonsets.apps"
	ControllerRevisions Resource = "controllerrevisions.apps"
	RuntimeClasses      Resource = "runtimeclasses.node.k8s.io"
)

// Change is an event of a watch.
type Change struct {
	// Type is Added, Modified or Deleted. An object that existed when the observer began is Added with the revision that it had.
	Type     watch.EventType `json:"type"`
	Resource Resource        `json:"resource"`
	// Object is typed, and nothing changes it. That of Deleted is the last state.
	Object client.Object `json:"-"`
}

// Request is a request and its answer, as the API server's audit log has them.
type Request struct {
	User        string `json:"user"`
	Verb        string `json:"verb"`
	Resource    string `json:"resource"` // in the form of Resource
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	DryRun      bool   `json:"dryRun,omitempty"`
	// UID and ResourceVersion are the preconditions of a delete or patch, as far as the request had them.
	UID             types.UID `json:"uid,omitempty"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
	// Object is the object of a create as it was sent, before admission; nil if it was not recorded.
	Object client.Object `json:"-"`
	// Code is the HTTP status of the answer; 0 if there was none. Reason is the reason of a refusal.
	Code   int32  `json:"code"`
	Reason string `json:"reason,omitempty"`
	// Took is the time until the answer.
	Took time.Duration `json:"took"`
}

// MarkKind is what a mark says.
type MarkKind string

// The marks.
const (
	// FaultBegins and FaultEnds enclose the time in which the cluster is disturbed. Liveness counts from the last FaultEnds.
	FaultBegins MarkKind = "FaultBegins"
	FaultEnds   MarkKind = "FaultEnds"
	// Gap says that changes of a resource are missing, after revision From and up to the revision of the next record of that
	// resource. What depends on them is unjudged.
	Gap MarkKind = "Gap"
	// Settled says that the cluster had the time that it needs: the liveness invariants hold from here to the end of the history.
	Settled MarkKind = "Settled"
	// Edited says that the test changed a spec or a verb, where a check needs to know that a person did it.
	Edited MarkKind = "Edited"
)

// Mark is a remark of the test itself.
type Mark struct {
	Kind     MarkKind `json:"kind"`
	Resource Resource `json:"resource,omitempty"` // of a Gap
	From     int64    `json:"from,omitempty"`     // of a Gap
	Text     string   `json:"text,omitempty"`
}
