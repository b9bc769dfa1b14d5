package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// savedRecord is a line of a saved history: a record, and the object of its change or request.
type savedRecord struct {
	Record
	Object json.RawMessage `json:"object,omitempty"`
}

// Save writes a history as JSON lines: first what it says about the run, then its records.
func (h *History) Save(to io.Writer) error {
	out := bufio.NewWriter(to)
	lines := json.NewEncoder(out)
	if err := lines.Encode(h); err != nil {
		return fmt.Errorf("saving the header of history %q: %w", h.Title, err)
	}
	for i := range h.Records {
		line := savedRecord{Record: h.Records[i]}
		if object := line.object(); object != nil {
			data, err := json.Marshal(object)
			if err != nil {
				return fmt.Errorf("saving record %d of history %q: %w", i, h.Title, err)
			}
			line.Object = data
		}
		if err := lines.Encode(&line); err != nil {
			return fmt.Errorf("saving record %d of history %q: %w", i, h.Title, err)
		}
	}
	return out.Flush()
}

// object returns the object of a record's change or request, nil if it has none.
func (r *Record) object() client.Object {
	switch {
	case r.Change != nil:
		return r.Change.Object
	case r.Request != nil:
		return r.Request.Object
	}
	return nil
}

// Load reads a saved history. Objects get the types of their resources; those of requests for other resources are
// unstructured.
func Load(from io.Reader) (*History, error) {
	lines := json.NewDecoder(bufio.NewReader(from))
	var h History
	if err := lines.Decode(&h); err != nil {
		return nil, fmt.Errorf("reading the header of a history: %w", err)
	}
	for {
		var line savedRecord
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return &h, nil
		}
		if err == nil {
			err = line.decode()
		}
		if err != nil {
			return nil, fmt.Errorf("reading record %d of history %q: %w", len(h.Records), h.Title, err)
		}
		h.Records = append(h.Records, line.Record)
	}
}

// decode gives the record its object.
func (s *savedRecord) decode() error {
	var resource Resource
	switch {
	case s.Change != nil:
		resource = s.Change.Resource
	case s.Request != nil:
		resource = Resource(s.Request.Resource)
	case s.Mark == nil:
		return errors.New("it is no change, no request and no mark")
	}
	if s.Object == nil {
		if s.Change != nil {
			return errors.New("the change has no object")
		}
		return nil
	}
	object := NewObject(resource)
	if err := json.Unmarshal(s.Object, object); err != nil {
		return fmt.Errorf("decoding its object of %s: %w", resource, err)
	}
	if s.Change != nil {
		s.Change.Object = object
	} else {
		s.Request.Object = object
	}
	return nil
}

// NewObject returns an empty object of a resource's type.
func NewObject(resource Resource) client.Object {
	switch resource {
	case Pods:
		return &corev1.Pod{}
	case Nodes:
		return &corev1.Node{}
	case DaemonSets:
		return &v1alpha1.DaemonSet{}
	case NativeDaemonSets:
		return &appsv1.DaemonSet{}
	case ControllerRevisions:
		return &appsv1.ControllerRevision{}
	case RuntimeClasses:
		return &nodev1.RuntimeClass{}
	default:
		return &unstructured.Unstructured{}
	}
}
