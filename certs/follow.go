package certs

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// follow watches one object by name and kind, and passes its current state, or nil when it is gone, to changed
// until ctx ends. It only reads that object, so a role that names it is sufficient. changed is called from one
// goroutine at a time.
func follow(ctx context.Context, c client.WithWatch, object client.Object, changed func(client.Object)) error {
	kind, err := apiutil.GVKForObject(object, c.Scheme())
	if err != nil {
		return fmt.Errorf("following %s: %w", object.GetName(), err)
	}
	kind.Kind += "List"
	newList := func() (client.ObjectList, error) {
		list, err := c.Scheme().New(kind)
		if err != nil {
			return nil, err
		}
		return list.(client.ObjectList), nil
	}
	options := func(raw metav1.ListOptions) *client.ListOptions {
		return &client.ListOptions{
			Namespace:     object.GetNamespace(),
			FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, object.GetName()),
			Raw:           &raw,
		}
	}
	notify := func(seen any) {
		if now, ok := seen.(client.Object); ok && now.GetName() == object.GetName() {
			changed(now)
		}
	}
	_, informer := toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
				list, err := newList()
				if err != nil {
					return nil, err
				}
				return list, c.List(ctx, list, options(raw))
			},
			WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
				list, err := newList()
				if err != nil {
					return nil, err
				}
				return c.Watch(ctx, list, options(raw))
			},
		}, plainList{}),
		ObjectType: object,
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc:    notify,
			UpdateFunc: func(_, now any) { notify(now) },
			DeleteFunc: func(last any) {
				if unknown, ok := last.(toolscache.DeletedFinalStateUnknown); ok {
					last = unknown.Obj
				}
				if was, err := meta.Accessor(last); err == nil && was.GetName() == object.GetName() {
					changed(nil)
				}
			},
		},
	})
	informer.RunWithContext(ctx)
	return nil
}

// plainList makes the reflector list before it watches: streaming a list of one object gains nothing.
type plainList struct{}

func (plainList) IsWatchListSemanticsUnSupported() bool { return true }
