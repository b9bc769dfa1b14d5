package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// status writes only the status of an object.
type status struct {
	client.SubResourceWriter
	c *Client
}

// Update implements client.SubResourceWriter.
func (s status) Update(_ context.Context, object client.Object, _ ...client.SubResourceUpdateOption) error {
	request, sent, key := s.c.request("update", object), clone(object), client.ObjectKeyFromObject(object)
	request.Subresource, request.UID, request.ResourceVersion = "status", object.GetUID(), object.GetResourceVersion()
	return s.c.do(request, func() error {
		next, err := s.c.api.change(history.Resource(request.Resource), key, request, func(stored client.Object) (client.Object, error) {
			next := clone(stored)
			statusOf(next).Set(statusOf(sent))
			return next, nil
		})
		if err != nil {
			return err
		}
		return into(next, object)
	})
}

// Patch implements client.SubResourceWriter.
func (s status) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.c.patch("status", object, patch)
}

// patch applies a merge patch or a strategic one. A UID or a resourceVersion in it is a precondition.
func (c *Client) patch(subresource string, object client.Object, patch client.Patch) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	var named struct {
		Metadata struct {
			UID             types.UID `json:"uid"`
			ResourceVersion string    `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return err
	}
	request, key := c.request("patch", object), client.ObjectKeyFromObject(object)
	request.Subresource, request.UID, request.ResourceVersion = subresource, named.Metadata.UID, named.Metadata.ResourceVersion
	return c.do(request, func() error {
		next, err := c.api.change(history.Resource(request.Resource), key, request, func(stored client.Object) (client.Object, error) {
			return patched(stored, subresource, patch.Type(), data)
		})
		if err != nil {
			return err
		}
		return into(next, object)
	})
}

// change stores the next state of an object, if it exists and the request's preconditions hold.
func (a *API) change(resource history.Resource, key types.NamespacedName, request *history.Request, change func(client.Object) (client.Object, error)) (client.Object, error) {
	stored, err := a.stored(resource, key)
	if err != nil {
		return nil, err
	}
	if err := match(resource, stored, request.UID, request.ResourceVersion); err != nil {
		return nil, err
	}
	next, err := change(stored)
	if err != nil {
		return nil, err
	}
	if err := validateOwners(next); err != nil {
		return nil, err
	}
	a.update(resource, next)
	return next, nil
}

// patched returns the object with a patch, of which only the part counts that belongs to the subresource.
func patched(stored client.Object, subresource string, kind types.PatchType, patch []byte) (client.Object, error) {
	next, err := merged(stored, kind, patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if subresource == "status" {
		status := statusOf(next)
		next = clone(stored)
		statusOf(next).Set(status)
	} else if status := statusOf(next); status.IsValid() {
		status.Set(statusOf(clone(stored)))
	}
	next.SetUID(stored.GetUID())
	generate(stored, next)
	return next, nil
}

func merged(stored client.Object, kind types.PatchType, patch []byte) (client.Object, error) {
	before, err := json.Marshal(stored)
	if err != nil {
		return nil, err
	}
	next := reflect.New(reflect.TypeOf(stored).Elem()).Interface().(client.Object)
	var after []byte
	switch kind {
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, patch)
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, patch, next)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("a patch of type %s: %w", kind, err)
	}
	return next, json.Unmarshal(after, next)
}

// validateOwners refuses a second controller (k8s.io/apimachinery pkg/api/validation ValidateOwnerReferences).
func validateOwners(object client.Object) error {
	controllers := 0
	for _, owner := range object.GetOwnerReferences() {
		if owner.Controller != nil && *owner.Controller {
			controllers++
		}
	}
	if controllers < 2 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Kind: string(ResourceOf(object))}, object.GetName(), field.ErrorList{
		field.Invalid(field.NewPath("metadata", "ownerReferences"), []metav1.OwnerReference{}, "Only one reference can have Controller set to true."),
	})
}
