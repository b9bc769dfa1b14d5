package checker

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reflects reports whether a pod has all that a template says. What it has beside that came from defaults and admission.
// The required node affinity is left out: its terms are rewritten.
func reflects(template *corev1.PodTemplateSpec, pod *corev1.Pod) bool {
	for _, part := range []struct{ wanted, has map[string]string }{{template.Labels, pod.Labels}, {template.Annotations, pod.Annotations}} {
		for key, value := range part.wanted {
			if has, there := part.has[key]; !there || has != value {
				return false
			}
		}
	}
	wanted, has := template.Spec, pod.Spec
	wanted.Affinity, has.Affinity = nil, nil
	wanted.NodeName, wanted.SchedulerName = "", ""
	wanted.SchedulingGates = nil // their owners remove them
	return within(reflect.ValueOf(&wanted).Elem(), reflect.ValueOf(&has).Elem())
}

// within reports whether a value has all that another one says: what is not zero there is the same here. The elements of
// lists are compared by name, and those without one may be anywhere.
func within(wanted, has reflect.Value) bool {
	if wanted.IsZero() {
		return true
	}
	switch wanted.Kind() {
	case reflect.Pointer:
		return !has.IsNil() && within(wanted.Elem(), has.Elem())
	case reflect.Struct:
		return structWithin(wanted, has)
	case reflect.Slice:
		for i := range wanted.Len() {
			if !anyWithin(wanted.Index(i), has) {
				return false
			}
		}
		return true
	case reflect.Map:
		for _, key := range wanted.MapKeys() {
			if value := has.MapIndex(key); !value.IsValid() || !equalOrWithin(wanted.MapIndex(key), value) {
				return false
			}
		}
		return true
	default:
		return wanted.Equal(has)
	}
}

func structWithin(wanted, has reflect.Value) bool {
	switch w := wanted.Interface().(type) {
	case resource.Quantity:
		h, ok := has.Interface().(resource.Quantity)
		return ok && w.Cmp(h) == 0
	case metav1.Time:
		h, ok := has.Interface().(metav1.Time)
		return ok && w.Equal(&h)
	}
	for i := range wanted.NumField() {
		if !within(wanted.Field(i), has.Field(i)) {
			return false
		}
	}
	return true
}

// anyWithin reports whether an element of a list has all that another one says.
func anyWithin(wanted, list reflect.Value) bool {
	for i := range list.Len() {
		if equalOrWithin(wanted, list.Index(i)) {
			return true
		}
	}
	return false
}

// equalOrWithin is within for elements, whose zero value has to be there too.
func equalOrWithin(wanted, has reflect.Value) bool {
	if wanted.IsZero() {
		return has.IsZero()
	}
	return within(wanted, has)
}
