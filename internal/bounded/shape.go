package bounded

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
)

// shape describes a Go type that JSON is decoded into: where it contains quantities, and how much memory it
// takes. Nil is a type without either, such as a string or a number.
type shape struct {
	quantity bool
	decodes  reflect.Type     // set if the type decodes itself, as times, int-or-strings and quantities do
	fields   map[string]field // of a struct, by JSON name
	element  *shape           // of a list or a map
	list     bool
	mapping  bool
	size     int // bytes of one element
}

// field is a field of a struct. A pointer takes size more bytes when it is set.
type field struct {
	*shape
	pointee int
}

var (
	quantity    = reflect.TypeFor[resource.Quantity]()
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

var (
	shapesMu sync.Mutex
	shapes   = map[reflect.Type]*shape{}
)

// shapeOf returns the shape of a type, which is derived once.
func shapeOf(t reflect.Type) *shape {
	shapesMu.Lock()
	defer shapesMu.Unlock()
	return derive(t)
}

func derive(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if known, ok := shapes[t]; ok {
		return known
	}
	switch {
	case t == quantity:
		shapes[t] = &shape{quantity: true, decodes: t}
	case reflect.PointerTo(t).Implements(unmarshaler):
		shapes[t] = &shape{decodes: t}
	case t.Kind() == reflect.Struct:
		s := &shape{fields: map[string]field{}}
		shapes[t] = s // before its fields, because a type may contain itself
		s.add(t)
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		s := &shape{list: true, size: int(t.Elem().Size()) + pointee(t.Elem())}
		shapes[t] = s
		s.element = derive(t.Elem())
	case t.Kind() == reflect.Map:
		s := &shape{mapping: true, size: int(t.Key().Size()+t.Elem().Size()) + pointee(t.Elem())}
		shapes[t] = s
		s.element = derive(t.Elem())
	default:
		shapes[t] = nil
	}
	return shapes[t]
}

// add adds the fields of a struct, and those of structs embedded without a name.
func (s *shape) add(t reflect.Type) {
	var inlined []reflect.Type
	for i := range t.NumField() {
		of := t.Field(i)
		name, _, _ := strings.Cut(of.Tag.Get("json"), ",")
		switch {
		case name == "-" || !of.IsExported() && !of.Anonymous:
		case name == "" && of.Anonymous:
			inlined = append(inlined, of.Type)
		default:
			if name == "" {
				name = of.Name
			}
			if _, hidden := s.fields[name]; !hidden { // hidden by a field of the embedding struct
				s.fields[name] = field{shape: derive(of.Type), pointee: pointee(of.Type)}
			}
		}
	}
	for _, t := range inlined {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct {
			s.add(t)
		}
	}
}

// pointee is how much more memory a pointer of this type takes when it is set.
func pointee(t reflect.Type) int {
	if t.Kind() != reflect.Pointer {
		return 0
	}
	return int(t.Elem().Size())
}
