package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/everynode/everynode/test/lab"
)

// auditPolicy records all requests that DaemonSets may cause.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: None
  nonResourceURLs: ["*"]
- level: Metadata
`

// requestLog is the audit log of a fleet's API server.
type requestLog struct {
	tb  testing.TB
	log *lab.AuditLog
}

// audited adds an audit log to a lab's options. It costs the API server time for each request, so nothing else is measured there.
func audited(options lab.Options) lab.Options {
	options.AuditPolicy = []byte(auditPolicy)
	return options
}

func (f *fleet) requestLog() *requestLog { return &requestLog{f.tb, lab.NewAuditLog(f.AuditPath(), 0)} }

// next returns the requests that were answered since the last call.
func (l *requestLog) next() []auditv1.Event {
	l.tb.Helper()
	events, err := l.log.Next()
	if err != nil {
		l.tb.Fatal(err)
	}
	return events
}

// requestKind is the key by which requests are counted.
type requestKind struct{ user, verb, resource string }

func kindOf(event *auditv1.Event) requestKind {
	kind := requestKind{user: event.User.Username, verb: event.Verb}
	if name := strings.Split(kind.user, ":"); len(name) > 2 {
		kind.user = name[len(name)-1] // of a service account
	}
	if ref := event.ObjectRef; ref != nil {
		kind.resource = ref.Resource
		if ref.Subresource != "" {
			kind.resource += "/" + ref.Subresource
		}
		if ref.APIGroup != "" {
			kind.resource += "." + ref.APIGroup
		}
	}
	return kind
}

// countRequests returns a table of requests for each pod, the most frequent ones first.
func countRequests(events []auditv1.Event, pods int) string {
	counts := map[requestKind]int{}
	for i := range events {
		counts[kindOf(&events[i])]++
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b requestKind) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	var table strings.Builder
	for _, kind := range kinds {
		if each := float64(counts[kind]) / float64(pods); each >= 0.01 {
			fmt.Fprintf(&table, "\n  %8.2f %-28s %-10s %s", each, kind.user, kind.verb, kind.resource)
		}
	}
	return table.String()
}

// request is when the API server received and answered a request.
type request struct{ received, answered time.Time }

// podRequests returns the requests of one verb that concern pods, by name.
func podRequests(events []auditv1.Event, verb, subresource string) map[string]request {
	found := map[string]request{}
	for i := range events {
		event := &events[i]
		ref := event.ObjectRef
		if ref == nil || ref.Resource != "pods" || ref.Subresource != subresource || event.Verb != verb || event.User.Username == "lab-kwok" {
			continue
		}
		if event.ResponseStatus != nil && event.ResponseStatus.Code < 300 {
			found[ref.Name] = request{event.RequestReceivedTimestamp.Time, event.StageTimestamp.Time}
		}
	}
	return found
}
