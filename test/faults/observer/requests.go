package observer

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/lab"
)

// AuditPolicy records requests of Everynode's accounts with what they send, and metadata of all others. Reads, leases and
// events are left out.
//
//go:embed audit-policy.yaml
var AuditPolicy []byte

// requests converts an audit log.
type requests struct{ decoder runtime.Decoder }

// read returns the requests that were answered after an offset of the file, in the order in which they were received.
func (r *requests) read(path string, offset int64) ([]history.Record, error) {
	events, err := lab.NewAuditLog(path, offset).Next()
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	var records []history.Record
	for i := range events {
		if events[i].Stage != auditv1.StageResponseComplete && events[i].Stage != auditv1.StagePanic {
			continue
		}
		request, err := r.convert(&events[i])
		if err != nil {
			return nil, err
		}
		records = append(records, history.Record{At: events[i].RequestReceivedTimestamp.Time, Request: request})
	}
	slices.SortStableFunc(records, func(a, b history.Record) int { return a.At.Compare(b.At) })
	return records, nil
}

func (r *requests) convert(event *auditv1.Event) (*history.Request, error) {
	request := &history.Request{
		User: event.User.Username, Verb: event.Verb, DryRun: dryRun(event.RequestURI),
		Took: event.StageTimestamp.Sub(event.RequestReceivedTimestamp.Time),
	}
	if event.ImpersonatedUser != nil {
		request.User = event.ImpersonatedUser.Username
	}
	if ref := event.ObjectRef; ref != nil {
		request.Resource, request.Subresource, request.Namespace, request.Name = ref.Resource, ref.Subresource, ref.Namespace, ref.Name
		if ref.APIGroup != "" {
			request.Resource += "." + ref.APIGroup
		}
	}
	if status := event.ResponseStatus; status != nil {
		request.Code, request.Reason = status.Code, string(status.Reason)
		request.Unread = event.RequestObject == nil && status.Code == http.StatusInternalServerError && status.Message == closedBody
	}
	if event.RequestObject == nil {
		return request, nil
	}
	return request, r.readBody(request, event.RequestObject.Raw)
}

// closedBody is the answer to a request whose connection was closed before its body was read (golang.org/x/net/http2, errClosedBody).
const closedBody = "body closed by handler"

func dryRun(uri string) bool {
	parsed, err := url.ParseRequestURI(uri)
	return err == nil && parsed.Query().Has("dryRun")
}

// readBody reads what a request sent: preconditions, and the object of a create.
func (r *requests) readBody(request *history.Request, body []byte) error {
	fail := func(err error) error {
		return fmt.Errorf("the body of %s %s %s/%s: %w", request.Verb, request.Resource, request.Namespace, request.Name, err)
	}
	switch request.Verb {
	case "delete", "deletecollection":
		var options metav1.DeleteOptions
		if err := json.Unmarshal(body, &options); err != nil {
			return fail(err)
		}
		request.DryRun = request.DryRun || len(options.DryRun) > 0
		if conditions := options.Preconditions; conditions != nil {
			request.UID, request.ResourceVersion = valueOf(conditions.UID), valueOf(conditions.ResourceVersion)
		}
	case "patch", "update":
		var err error
		if request.UID, request.ResourceVersion, err = conditionsOf(body); err != nil {
			return fail(err)
		}
	case "create":
		if request.Subresource != "" {
			return nil // a binding, an eviction or a token, whose effect is a change
		}
		decoded, _, err := r.decoder.Decode(body, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			return nil // an object of another API
		}
		if err != nil {
			return fail(err)
		}
		request.Object, _ = decoded.(client.Object)
	}
	return nil
}

func valueOf[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// operation is one of a JSON patch.
type operation struct{ Op, Path, Value string }

// conditionsOf returns the UID and the resource version that an object or a patch carries.
func conditionsOf(body []byte) (types.UID, string, error) {
	if strings.HasPrefix(strings.TrimSpace(string(body)), "[") {
		return conditionsOfOperations(body)
	}
	var object struct {
		Metadata struct {
			UID             types.UID
			ResourceVersion string
		}
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return "", "", err
	}
	return object.Metadata.UID, object.Metadata.ResourceVersion, nil
}

func conditionsOfOperations(body []byte) (uid types.UID, version string, err error) {
	var operations []json.RawMessage
	if err := json.Unmarshal(body, &operations); err != nil {
		return "", "", err
	}
	for _, raw := range operations {
		var step operation
		if json.Unmarshal(raw, &step) != nil || step.Op != "test" {
			continue // its value is no string, so it tests neither
		}
		switch step.Path {
		case "/metadata/uid":
			uid = types.UID(step.Value)
		case "/metadata/resourceVersion":
			version = step.Value
		}
	}
	return uid, version, nil
}
