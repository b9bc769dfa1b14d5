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
// request before the changes that it caused. Merge makes such a sequence of streams.
type History struct {
	// Title says what was run, with all that is needed to run it again: a seed, a fault, versions.
	Title string `json:"title"`
	// Controllers, Schedulers and Webhooks are the user names of Everynode's programs, as requests carry them.
	Controllers []string `json:"controllers"`
	Schedulers  []string `json:"schedulers,omitempty"`
	Webhooks    []string `json:"webhooks,omitempty"`
	// Serves are the kinds of DaemonSets that Everynode's controller serves; if empty, DaemonSets alone.
	Serves []Resource `json:"serves,omitempty"`
	// Began is the revision at which the observation began: an object that is Added with this revision or an older one existed
	// before. 0 if the history begins with an empty cluster.
	Began int64 `json:"began,omitempty"`
	// Lag is how stale the caches of a client may be while no fault is active; 0 means DefaultLag. It is only used for requests
	// without a View.
	Lag time.Duration `json:"lag,omitempty"`
	// Bystanders are the user names of clients whose requests have nothing to do with Everynode, are valid, and must succeed
	// within BystandersWithin; 0 means DefaultBystandersWithin.
	Bystanders       []string      `json:"bystanders,omitempty"`
	BystandersWithin time.Duration `json:"bystandersWithin,omitempty"`

	Records []Record `json:"-"`
}

// Defaults of a History.
const (
	DefaultLag              = 5 * time.Second
	DefaultBystandersWithin = time.Second
)

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
	ConfigMaps          Resource = "configmaps" // that of the emergency stop alone

	// Requests stands for the audit log in a Gap.
	Requests Resource = "requests"
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
	// Unread is a request whose body the API server could not read, because its sender had gone; it had no effect.
	Unread bool `json:"unread,omitempty"`
	// Object is the object of a create as it was sent, before admission; nil if it was not recorded.
	Object client.Object `json:"-"`
	// Code is the HTTP status of the answer; 0 if there was none. Reason is the reason of a refusal.
	Code   int32  `json:"code"`
	Reason string `json:"reason,omitempty"`
	// Took is the time until the answer.
	Took time.Duration `json:"took"`
	// View is what the sender knew when it decided to send a write, if the writer of the history knows that: a simulation does, a
	// lab does not.
	View *View `json:"view,omitempty"`
}

// View is the state of a client's caches.
type View struct {
	// Process is the run of a program: it changes when the program is restarted.
	Process string `json:"process"`
	// At is the time of the decision: when the reconciliation began that sent the request.
	At time.Time `json:"at"`
	// From is the revision of the last list of pods: what happened to pods before is not known one by one.
	From int64 `json:"from,omitempty"`
	// To is for each resource the revision of the last change of it that had been delivered when the reconciliation began. A
	// resource that is missing had been delivered completely.
	To map[Resource]int64 `json:"to,omitempty"`
}

// MarkKind is what a mark says.
type MarkKind string

// The marks.
const (
	// FaultBegins and FaultEnds enclose the time in which the cluster is disturbed; they nest. Liveness counts from the last
	// FaultEnds.
	FaultBegins MarkKind = "FaultBegins"
	FaultEnds   MarkKind = "FaultEnds"
	// Gap says that changes of a resource are missing, after revision From and up to the revision of the next record of that
	// resource. That record is the first of a list: all records with its revision are what the list shows to have changed,
	// vanished objects as Deleted. What depends on missing changes is unjudged. For Requests, the requests between the last
	// record of a request and the next one are incomplete.
	Gap MarkKind = "Gap"
	// Settled says that the cluster had the time that it needs: the liveness invariants hold from here to the next FaultBegins or
	// Edited, or to the end of the history.
	Settled MarkKind = "Settled"
	// Edited says that the test changed a spec or a verb, where a check needs to know that a person did it.
	Edited MarkKind = "Edited"
	// Started says that a program was started: Text is its Process. What it knew in its memory is lost, its back-off too.
	Started MarkKind = "Started"
	// Broken says that from here on pods fail on the node Name, and no pod can become available there; Repaired ends it.
	Broken   MarkKind = "Broken"
	Repaired MarkKind = "Repaired"
)

// Mark is a remark of the test itself.
type Mark struct {
	Kind     MarkKind `json:"kind"`
	Resource Resource `json:"resource,omitempty"` // of a Gap
	From     int64    `json:"from,omitempty"`     // of a Gap
	Name     string   `json:"name,omitempty"`     // of a node
	// Everyone says of a FaultBegins that it disturbs the API server itself, for all of its clients.
	Everyone bool   `json:"everyone,omitempty"`
	Text     string `json:"text,omitempty"`
}
