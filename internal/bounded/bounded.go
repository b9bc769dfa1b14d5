package bounded

import (
	"reflect"
	"strings"

	kjson "sigs.k8s.io/json"
)

// An Error is a value that Check refuses: where it is, and what is wrong with it.
type Error struct {
	Path   string // as in .spec.containers[0].resources.limits[cpu]
	Detail string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Detail
	}
	return strings.TrimPrefix(e.Path, ".") + ": " + e.Detail
}

// Unmarshal decodes JSON as Kubernetes' own decoder does, case-sensitively, unless Check refuses it.
// into is a pointer.
func Unmarshal(data []byte, into any) error {
	if err := check(data, reflect.TypeOf(into)); err != nil {
		return err
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(data, into)
}

// Check refuses JSON that, decoded into a T, would take more time or memory than its length warrants.
// Bad syntax is the decoder's to refuse.
func Check[T any](data []byte) error { return check(data, reflect.TypeFor[T]()) }

func check(data []byte, into reflect.Type) error {
	scan := scanner{data: data, room: max(minDecoded, maxGrowth*len(data))}
	return scan.value(shapeOf(into))
}
