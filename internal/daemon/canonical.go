package daemon

import (
	"encoding/json"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// canonical returns the same form for all templates that create the same pods: fields with their default are
// unset, empty values are absent, lists without a meaningful order are sorted, quantities are written in one
// way, and the metadata contains only what a pod gets.
//
// Defaults are removed, not added. Otherwise every default that Kubernetes adds to its types would change the
// form, so that a new Everynode would roll out every daemon (k/k#69445); this form changes only for templates
// that set the new field.
//
// Values that the cluster and admission add (tolerations, a service account, the requests of a pod as a whole)
// are no defaults, because they are unknown here.
func canonical(template *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	form := template.DeepCopy()
	unsetHostPorts(&form.Spec) // before the ports are sorted
	canonicalize(reflect.ValueOf(form).Elem())
	return form
}

// canonicalize converts a value to its canonical form, beginning with its contents: a list can be sorted when
// its elements have their form. The rules depend on the type, wherever it occurs, like those that upstream's
// defaults are generated from.
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

// unsetIfEmpty unsets a list or a map without elements.
func unsetIfEmpty(value reflect.Value) {
	if value.Len() == 0 {
		value.SetZero()
	}
}

// sameQuantity gives quantities of the same value the same form: 1000m and 1, 1073741824 and 1Gi. The exponent
// is always written out, because the suffixes end at E and n. Zero is the zero value: it is unset unless it has
// a pointer.
func sameQuantity(quantity resource.Quantity) resource.Quantity {
	if quantity.IsZero() {
		return resource.Quantity{}
	}
	return *resource.NewDecimalQuantity(*quantity.AsDec(), resource.DecimalExponent)
}

// encode encodes a canonical value as JSON, without unset fields. encoding/json's omission tags change with
// Kubernetes: "creationTimestamp": null is no longer written, which rolled out every StatefulSet (k/k#134773),
// and "resources": {} still is.
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
		case name == "": // its fields are inlined
			addFields(fields, field)
		default:
			fields[name] = whatIsSet(field)
		}
	}
}
