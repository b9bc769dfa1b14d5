package daemon

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The work for every node, every pod or every event is bounded, whatever an object at the API server's size
// limit contains: an object that could cost others milliseconds each time is not served. A template that lists
// 5,000 nodes one by one is far below the bounds.
const (
	// MaxRequirements bounds the terms, requirements and values of a template's nodeSelector and required node
	// affinity together, and its tolerations.
	MaxRequirements = 10_000
	// MaxElements bounds the elements of all lists and maps of a template: each is read, sorted and hashed when
	// the template changes, which takes some microseconds, and other DaemonSets' events wait in the meantime.
	MaxElements = 3 * MaxRequirements
	// MaxSelector bounds the labels, requirements and values of a selector.
	MaxSelector = 1_000
	// maxLooked bounds the terms and matchFields of a pod that are read: those of a template, and a pin in each
	// term. MaxOwners bounds owner references.
	maxLooked = 2 * MaxRequirements
	MaxOwners = 10_000
	// maxObjectName and maxUID are the maximum lengths of an object's name and UID. In a reference to one they
	// may have any length.
	maxObjectName, maxUID = 253, 128
)

// CheckTemplate refuses a template that would cost too much for each node and each pod.
func CheckTemplate(template *corev1.PodTemplateSpec) error {
	spec := &template.Spec
	if n := countRequirements(spec); n > MaxRequirements {
		return fmt.Errorf("spec.template.spec: nodeSelector and required node affinity have %d terms, requirements and values in all: at most %d are served; label the nodes and select them by the label", n, MaxRequirements)
	}
	if n := len(spec.Tolerations); n > MaxRequirements {
		return fmt.Errorf("spec.template.spec.tolerations: there are %d: at most %d are served; omit a key or an effect to tolerate every one", n, MaxRequirements)
	}
	if countElements(reflect.ValueOf(template).Elem(), MaxElements) > MaxElements {
		return fmt.Errorf("spec.template: its lists and maps have more than %d elements in all, which is the most that is served; keep long lists in a ConfigMap", MaxElements)
	}
	return nil
}

// countElements returns how many elements the lists and maps in a value have; it stops beyond most.
func countElements(v reflect.Value, most int) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n = countElements(v.Elem(), most)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[resource.Quantity]() || v.Type() == reflect.TypeFor[metav1.Time]() {
			return 0
		}
		for i := 0; i < v.NumField() && n <= most; i++ {
			n += countElements(v.Field(i), most-n)
		}
	case reflect.Map: // of texts and of quantities
		n = v.Len()
	case reflect.Slice:
		n = v.Len()
		if v.Type().Elem().Kind() != reflect.Struct {
			return n
		}
		for i := 0; i < v.Len() && n <= most; i++ {
			n += countElements(v.Index(i), most-n)
		}
	}
	return n
}

func countRequirements(spec *corev1.PodSpec) int {
	terms := requiredTerms(spec)
	n := len(spec.NodeSelector) + len(terms)
	for i := range terms {
		for _, requirements := range [][]corev1.NodeSelectorRequirement{terms[i].MatchExpressions, terms[i].MatchFields} {
			for j := range requirements {
				n += 1 + len(requirements[j].Values)
			}
		}
	}
	return n
}

// CheckSelector refuses a selector that would cost too much for each pod of its namespace.
func CheckSelector(selector *metav1.LabelSelector) error {
	if selector == nil {
		return nil
	}
	n := len(selector.MatchLabels)
	for i := range selector.MatchExpressions {
		n += 1 + len(selector.MatchExpressions[i].Values)
	}
	if n > MaxSelector {
		return fmt.Errorf("spec.selector has %d labels, requirements and values: at most %d are served; one label that only these pods have is enough", n, MaxSelector)
	}
	return nil
}
