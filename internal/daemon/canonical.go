package daemon

import (
	"encoding/json"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// canonical is the one form of all templates that make the same pods: what is set to its default
// is not set, what is empty is not there, a list whose order means nothing is sorted, quantities
// are written one way, and of the metadata there is what a pod gets.
//
// Defaults are taken away, not added. Every default that Kubernetes adds to its types would
// change a form that has them added, so that a new Everynode would roll every daemon
// (k/k#69445); this form changes for those templates alone that set the new field.
//
// What cluster and admission add (tolerations, a service account, the requests of a pod as a
// whole) is no default: it is not known here.
func canonical(template *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	form := template.DeepCopy()
	unsetHostPorts(&form.Spec) // before the ports are sorted
	canonicalize(reflect.ValueOf(form).Elem())
	return form
}

// canonicalize brings a value into its canonical form. What it holds comes first: a list can be
// sorted when its elements have their form. The rules are told by type, wherever it occurs, as
// those that upstream's defaults are generated from.
func canonicalize(value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			canonicalize(value.Elem())
		}
	case reflect.Map:
		unsetIfEmpty(value)
	case reflect.Slice:
		unsetIfEmpty(value)
		for i := range value.Len() {
			canonicalize(value.Index(i))
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				canonicalize(value.Field(i))
			}
		}
		part := value.Addr().Interface()
		unsetDefaults(part)
		unsetImplied(part)
		reorderLists(part)
	}
}

// unsetIfEmpty makes a list or a map without elements one that is not there.
func unsetIfEmpty(value reflect.Value) {
	if value.Len() == 0 {
		value.SetZero()
	}
}

// sameQuantity gives quantities of the same value the same form: 1000m and 1, 1073741824 and 1Gi.
// The exponent is always written out, for the suffixes end at E and n. Zero is the zero value:
// where no pointer says that it is set, it is not.
func sameQuantity(quantity resource.Quantity) resource.Quantity {
	if quantity.IsZero() {
		return resource.Quantity{}
	}
	return *resource.NewDecimalQuantity(*quantity.AsDec(), resource.DecimalExponent)
}

// encode writes a canonical value as JSON, and nothing that is not set. The tags that tell
// encoding/json what to leave out change with Kubernetes: "creationTimestamp": null is no longer
// written, which rolled every StatefulSet (k/k#134773), and "resources": {} still is.
func encode(value any) ([]byte, error) {
	return json.Marshal(whatIsSet(reflect.ValueOf(value)))
}

func whatIsSet(value reflect.Value) any {
	if _, special := value.Interface().(json.Marshaler); special { // Quantity, IntOrString
		return value.Interface()
	}
	switch value.Kind() {
	case reflect.Pointer:
		return whatIsSet(value.Elem())
	case reflect.Slice:
		list := make([]any, value.Len())
		for i := range list {
			list[i] = whatIsSet(value.Index(i))
		}
		return list
	case reflect.Struct:
		fields := map[string]any{}
		addFields(fields, value)
		return fields
	}
	return value.Interface()
}

func addFields(fields map[string]any, value reflect.Value) {
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		switch field := value.Field(i); {
		case field.IsZero():
		case name == "": // its fields count as the value's own
			addFields(fields, field)
		default:
			fields[name] = whatIsSet(field)
		}
	}
}
