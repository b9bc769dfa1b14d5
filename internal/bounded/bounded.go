package bounded

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	kjson "sigs.k8s.io/json"
)

// An Error is a value that Check refuses: its path and the reason.
type Error struct {
	Path   string // for example .spec.containers[0].resources.limits[cpu]
	Detail string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Detail
	}
	return strings.TrimPrefix(e.Path, ".") + ": " + e.Detail
}

// Unmarshal decodes JSON as Kubernetes' own decoder does, case-sensitively, unless Check refuses it. into is a
// pointer.
func Unmarshal(data []byte, into any) error {
	if err := check(data, reflect.TypeOf(into)); err != nil {
		return err
	}
	err := kjson.UnmarshalCaseSensitivePreserveInts(data, into)
	if syntax, _ := kjson.SyntaxErrorOffset(err); err == nil || syntax {
		return err
	}
	if found := locate(data, reflect.TypeOf(into)); found != nil {
		return found
	}
	return err
}

// Check refuses JSON that, decoded into a T, would take more time or memory than its length justifies. The
// decoder refuses invalid syntax.
func Check[T any](data []byte) error { return check(data, reflect.TypeFor[T]()) }

func check(data []byte, into reflect.Type) error {
	return walk(data, into, func(of *shape, text []byte) error {
		if !of.quantity {
			return nil
		}
		return checkQuantity(text)
	})
}

// locate finds the first value that its own type refuses, because the decoder's error does not contain the
// path. The data passed check.
func locate(data []byte, into reflect.Type) error {
	return walk(data, into, func(of *shape, text []byte) error {
		err := reflect.New(of.decodes).Interface().(json.Unmarshaler).UnmarshalJSON(text)
		if err != nil {
			return fmt.Errorf("%.80s cannot be decoded: %w", text, err)
		}
		return nil
	})
}

func walk(data []byte, into reflect.Type, leaf func(*shape, []byte) error) error {
	scan := scanner{data: data, room: max(minDecoded, maxGrowth*len(data)), leaf: leaf}
	return scan.value(shapeOf(into))
}
