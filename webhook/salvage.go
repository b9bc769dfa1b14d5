package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
)

const (
	// listLimit bounds the objects in a list, because some of upstream's rules compare each with every other
	// one. The largest lists in real templates have a few hundred.
	listLimit = 5000
	// faultLimit is how many faults of a spec are reported separately.
	faultLimit = 100
	// shownLimit is how many characters of a value a message contains.
	shownLimit = 64
)

// readSpec decodes a spec, in time and memory proportional to its length. It returns errors for fields that
// cannot be decoded, and omits them from the spec.
func readSpec(ctx context.Context, raw []byte) (*v1alpha1.DaemonSetSpec, field.ErrorList) {
	spec, path := &v1alpha1.DaemonSetSpec{}, field.NewPath("spec")
	if len(raw) == 0 {
		return spec, nil
	}
	if bounded.Unmarshal(raw, spec) == nil {
		return spec, shorten(raw, spec, path)
	}
	s := salvage{ctx: ctx}
	raw = s.value(raw, reflect.TypeFor[v1alpha1.DaemonSetSpec](), path)
	spec = &v1alpha1.DaemonSetSpec{}
	if err := bounded.Unmarshal(raw, spec); err != nil {
		return &v1alpha1.DaemonSetSpec{}, append(s.faults, field.Invalid(path, field.OmitValueType{}, err.Error()))
	}
	return spec, append(s.faults, shorten(raw, spec, path)...)
}

// salvage splits JSON along a Go type, down to the values that cannot be decoded.
type salvage struct {
	ctx    context.Context
	faults field.ErrorList
}

// null replaces a value that cannot be decoded.
var null = json.RawMessage("null")

// value returns raw with null for each part that cannot be decoded into t.
func (s *salvage) value(raw json.RawMessage, t reflect.Type, path *field.Path) json.RawMessage {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	into := reflect.New(t)
	err := bounded.Unmarshal(raw, into.Interface())
	if err == nil {
		return raw
	}
	if len(s.faults) >= faultLimit || s.ctx.Err() != nil {
		return null
	}
	if _, opaque := into.Interface().(json.Unmarshaler); !opaque {
		switch t.Kind() {
		case reflect.Struct:
			if parts, ok := object(raw); ok {
				return s.object(parts, fieldsOf(t), func(name string) *field.Path { return path.Child(name) })
			}
		case reflect.Map:
			if parts, ok := object(raw); ok && len(parts) <= listLimit {
				types := map[string]reflect.Type{}
				for key := range parts {
					types[key] = t.Elem()
				}
				return s.object(parts, types, func(key string) *field.Path { return path.Key(key) })
			}
		case reflect.Slice:
			if parts, ok := list(raw); ok {
				for i := range parts {
					parts[i] = s.value(parts[i], t.Elem(), path.Index(i))
				}
				return encoded(parts)
			}
		}
	}
	s.faults = append(s.faults, field.Invalid(path, shown(raw), detail(t, err)))
	return null
}

// object reassembles an object from the parts that have a type, sorted by name, so that every pass finds the
// same faults.
func (s *salvage) object(parts map[string]json.RawMessage, types map[string]reflect.Type, path func(string) *field.Path) json.RawMessage {
	whole := map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if t, known := types[name]; known {
			whole[name] = s.value(parts[name], t, path(name))
		}
	}
	return encoded(whole)
}

func object(raw []byte) (parts map[string]json.RawMessage, ok bool) {
	return parts, kjson.UnmarshalCaseSensitivePreserveInts(raw, &parts) == nil
}

// list fails for a list that is too long.
func list(raw []byte) (parts []json.RawMessage, ok bool) {
	var counted []struct{} // takes no memory
	if _ = kjson.UnmarshalCaseSensitivePreserveInts(raw, &counted); len(counted) > listLimit {
		return nil, false
	}
	return parts, kjson.UnmarshalCaseSensitivePreserveInts(raw, &parts) == nil
}

func encoded(parts any) json.RawMessage {
	raw, err := json.Marshal(parts)
	if err != nil { // cannot happen: they were decoded before
		return null
	}
	return raw
}

// fieldsOf returns the types of a struct's fields by their JSON names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for i := range t.NumField() {
		of := t.Field(i)
		switch name, _, _ := strings.Cut(of.Tag.Get("json"), ","); {
		case name == "" && of.Anonymous && of.Type.Kind() == reflect.Struct:
			maps.Copy(types, fieldsOf(of.Type))
		case name != "" && name != "-":
			types[name] = of.Type
		}
	}
	return types
}

// detail describes the error of a value without the value itself, because updates compare errors by it.
func detail(t reflect.Type, err error) string {
	var refused *bounded.Error
	switch {
	case errors.As(err, &refused):
		return refused.Detail
	case t == reflect.TypeFor[intstr.IntOrString]():
		return "must be a string or a number of 32 bits"
	}
	switch t.Kind() {
	case reflect.Int32, reflect.Int64:
		return fmt.Sprintf("must be a number of %d bits", t.Bits())
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Slice:
		return fmt.Sprintf("must be a list of at most %d", listLimit)
	case reflect.Map:
		return fmt.Sprintf("must be an object of at most %d keys", listLimit)
	}
	if _, opaque := reflect.New(t).Interface().(json.Unmarshaler); opaque {
		return err.Error()
	}
	return "must be an object"
}

func shown(raw []byte) string {
	if len(raw) > shownLimit {
		return string(raw[:shownLimit]) + "..."
	}
	return strings.Trim(string(raw), `"`)
}

// shorten removes lists that are too long, and reports them. A short text contains none.
func shorten(raw []byte, spec *v1alpha1.DaemonSetSpec, path *field.Path) field.ErrorList {
	if len(raw) < 2*listLimit {
		return nil
	}
	var faults field.ErrorList
	shortenIn(reflect.ValueOf(spec).Elem(), path, &faults)
	return faults
}

func shortenIn(v reflect.Value, path *field.Path, faults *field.ErrorList) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			shortenIn(v.Elem(), path, faults)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if of := v.Type().Field(i); of.IsExported() {
				name, _, _ := strings.Cut(of.Tag.Get("json"), ",")
				inner := path
				if name != "" {
					inner = path.Child(name)
				}
				shortenIn(v.Field(i), inner, faults)
			}
		}
	case reflect.Slice:
		switch kind := v.Type().Elem().Kind(); {
		case kind != reflect.Struct:
		case v.Len() > listLimit:
			*faults = append(*faults, field.TooMany(path, v.Len(), listLimit))
			v.SetZero()
		default:
			for i := range v.Len() {
				shortenIn(v.Index(i), path.Index(i), faults)
			}
		}
	}
}
