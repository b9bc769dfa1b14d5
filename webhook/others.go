package webhook

import (
	"context"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Others are the DaemonSets of everynode.dev and apps, with their selectors and their pods' labels. A nil one
// is empty.
type Others struct {
	informers []cache.SharedIndexInformer
}

// WatchOthers keeps Others up to date by watching the API server, after Start. Nothing waits for it: until a
// kind is synced, there are no warnings about its DaemonSets.
func WatchOthers(config *rest.Config) (*Others, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("watching DaemonSets: %w", err)
	}
	return newOthers(client)
}

func newOthers(client dynamic.Interface) (*Others, error) {
	o := &Others{}
	for _, resource := range []schema.GroupVersionResource{
		v1alpha1.GroupVersion.WithResource("daemonsets"), appsv1.SchemeGroupVersion.WithResource("daemonsets"),
	} {
		informer := dynamicinformer.NewFilteredDynamicInformer(client, resource, metav1.NamespaceAll, 0,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, nil).Informer()
		if err := informer.SetTransform(newOther); err != nil {
			return nil, fmt.Errorf("watching %s: %w", resource, err)
		}
		o.informers = append(o.informers, informer)
	}
	return o, nil
}

// Start watches until ctx ends.
func (o *Others) Start(ctx context.Context) {
	var all sync.WaitGroup
	for _, informer := range o.informers {
		all.Go(func() { informer.RunWithContext(ctx) })
	}
	all.Wait()
}

// other is the part of a DaemonSet that is kept.
type other struct {
	metav1.ObjectMeta
	kind     schema.GroupKind
	selector labels.Selector
	labels   labels.Set // of its pods
}

// newOther reduces a DaemonSet when the informer receives it.
func newOther(object any) (any, error) {
	read, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil // a tombstone, or reduced already
	}
	var set struct {
		Spec struct {
			Selector *metav1.LabelSelector `json:"selector"`
			Template struct {
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			} `json:"template"`
		} `json:"spec"`
	}
	// An error here would end the list, and with it every warning, because of one object.
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(read.Object, &set); err != nil || !isComparable(set.Spec.Selector, set.Spec.Template.Metadata.Labels) {
		set.Spec.Selector, set.Spec.Template.Metadata.Labels = nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		selector = labels.Nothing() // an invalid selector matches no pods
	}
	return &other{
		ObjectMeta: metav1.ObjectMeta{Namespace: read.GetNamespace(), Name: read.GetName(), UID: read.GetUID(), ResourceVersion: read.GetResourceVersion()},
		kind:       read.GroupVersionKind().GroupKind(), selector: selector, labels: set.Spec.Template.Metadata.Labels,
	}, nil
}

// comparedLimit bounds the labels, and the keys and values in the selector, of a DaemonSet that is compared
// with others. Larger ones are not compared.
const comparedLimit = 100

// comparedOthers bounds how many DaemonSets one is compared with. Larger namespaces get no warnings.
const comparedOthers = 1000

func isComparable(selector *metav1.LabelSelector, of map[string]string) bool {
	if selector == nil {
		return len(of) <= comparedLimit
	}
	size := len(selector.MatchLabels)
	for _, expression := range selector.MatchExpressions {
		size += 1 + len(expression.Values)
	}
	return size <= comparedLimit && len(of) <= comparedLimit
}

// overlaps warns about DaemonSets of the same namespace that select the same pods: each adopts pods that the
// other orphans, and labels cannot distinguish them.
func (o *Others) overlaps(set *appsv1.DaemonSet) []string {
	if o == nil || !isComparable(set.Spec.Selector, set.Spec.Template.Labels) {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil
	}
	others := o.in(set.Namespace)
	if len(others) > comparedOthers {
		return nil
	}
	var found []string
	for _, other := range others {
		if other.kind == v1alpha1.DaemonSetKind.GroupKind() && other.Name == set.Name {
			continue
		}
		switch {
		case selector.Matches(other.labels):
			found = append(found, fmt.Sprintf("spec.selector: it matches the pods of %s %s too; add a label that only this DaemonSet has", other.kind, other.Name))
		case other.selector.Matches(labels.Set(set.Spec.Template.Labels)):
			found = append(found, fmt.Sprintf("spec.template.metadata.labels: the selector of %s %s matches them too; change the labels", other.kind, other.Name))
		}
	}
	slices.Sort(found)
	return found
}

// in returns the DaemonSets of a namespace, of the kinds that are synced.
func (o *Others) in(namespace string) []*other {
	var found []*other
	for _, informer := range o.informers {
		if !informer.HasSynced() {
			continue
		}
		objects, err := informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
		if err != nil {
			continue // cannot happen: the index is created above
		}
		for _, object := range objects {
			if read, ok := object.(*other); ok {
				found = append(found, read)
			}
		}
	}
	return found
}
