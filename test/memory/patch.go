package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// status writes only the status of an object.
type status struct {
	client.SubResourceWriter
	api *API
}

// Update implements client.SubResourceWriter.
func (s status) Update(_ context.Context, object client.Object, _ ...client.SubResourceUpdateOption) error {
	a := s.api
	kind, key := a.kindOf(object), client.ObjectKeyFromObject(object)
	return a.serve("update status", kind, key, reflect.ValueOf(object).Elem().FieldByName("Status").Interface(), object, func() error {
		stored, there := a.objects[kind][key]
		if !there {
			return apierrors.NewNotFound(resource(kind), key.Name)
		}
		uid, version := object.GetUID(), object.GetResourceVersion()
		if err := a.match(kind, stored, &uid, &version); err != nil {
			return err
		}
		next := clone(stored)
		reflect.ValueOf(next).Elem().FieldByName("Status").Set(reflect.ValueOf(clone(object)).Elem().FieldByName("Status"))
		a.store(kind, next, watch.Modified)
		return into(next, object)
	})
}

// Patch implements client.SubResourceWriter.
func (s status) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.api.patch("patch status", object, patch)
}

// patch applies a merge patch or a strategic one. A UID or a resourceVersion in it is a precondition.
func (a *API) patch(verb string, object client.Object, patch client.Patch) error {
	kind, key := a.kindOf(object), client.ObjectKeyFromObject(object)
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	return a.serve(verb, kind, key, json.RawMessage(data), object, func() error {
		stored, there := a.objects[kind][key]
		if !there {
			return apierrors.NewNotFound(resource(kind), key.Name)
		}
		var named struct {
			Metadata struct {
				UID             *types.UID `json:"uid"`
				ResourceVersion *string    `json:"resourceVersion"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(data, &named); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		if err := a.match(kind, stored, named.Metadata.UID, named.Metadata.ResourceVersion); err != nil {
			return err
		}
		next, err := merged(stored, patch.Type(), data)
		if err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		a.store(kind, next, watch.Modified)
		return into(next, object)
	})
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
