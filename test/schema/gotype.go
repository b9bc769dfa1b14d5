package schema

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/everynode/everynode/api/v1alpha1"
)

// typeAt returns the Go type that a place is decoded into.
func typeAt(at place) (reflect.Type, error) {
	current := reflect.TypeFor[v1alpha1.DaemonSet]()
	for i, step := range at {
		current = dereference(current)
		switch {
		case (step == "[]" && current.Kind() == reflect.Slice) || (step == "{}" && current.Kind() == reflect.Map):
			current = current.Elem()
		default:
			field, ok := fieldsOf(current)[step]
			if !ok {
				return nil, fmt.Errorf("%s: %s has no field %q", at[:i+1], current, step)
			}
			current = field
		}
	}
	return dereference(current), nil
}

func dereference(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// fieldsOf returns the types of a struct's fields by their JSON names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return fields
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported() || name == "-":
		case name == "" && field.Anonymous:
			for inner, fieldType := range fieldsOf(dereference(field.Type)) {
				fields[inner] = fieldType
			}
		default:
			fields[name] = field.Type
		}
	}
	return fields
}
