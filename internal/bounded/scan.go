package bounded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// How much memory lists, maps and pointers may take once they are decoded: minDecoded for data of any length,
// else maxGrowth times its length. The manifests of pods stay below five times.
const (
	minDecoded = 1 << 20
	maxGrowth  = 16
)

// maxDepth bounds the recursion for types that contain themselves.
const maxDepth = 100

// scanner walks JSON along a shape. It tolerates invalid syntax, always moves forward, and leaves the refusal
// to the decoder.
type scanner struct {
	data  []byte
	at    int
	depth int
	room  int // bytes that decoded values may still take
	// leaf is called for each value of a type that decodes itself, with the text of the value.
	leaf func(of *shape, text []byte) error
}

// value walks one value.
func (s *scanner) value(of *shape) error {
	s.space()
	if s.depth++; s.depth > maxDepth {
		return &Error{Detail: fmt.Sprintf("it is nested more than %d levels deep", maxDepth)}
	}
	defer func() { s.depth-- }()
	first := s.peek()
	switch {
	case of == nil:
		s.skip()
	case of.decodes != nil:
		start := s.at
		s.skip()
		if err := s.leaf(of, s.data[start:s.at]); err != nil {
			return &Error{Detail: err.Error()}
		}
	case first == '{' && (of.fields != nil || of.mapping):
		return s.object(of)
	case first == '[' && of.list:
		return s.list(of)
	default: // of another type than the decoder expects
		s.skip()
	}
	return nil
}

// object walks a value that becomes a struct or a map.
func (s *scanner) object(of *shape) error {
	for more := s.enter('}'); more; more = s.next('}') {
		key := s.key()
		if s.peek() == ':' {
			s.at++
		}
		if of.mapping {
			if err := s.element(of.element, of.size); err != nil {
				return in("["+string(key)+"]", err)
			}
			continue
		}
		field := of.fields[string(key)]
		if err := s.element(field.shape, field.pointee); err != nil {
			return in("."+string(key), err)
		}
	}
	return nil
}

func (s *scanner) list(of *shape) error {
	index := 0
	for more := s.enter(']'); more; more = s.next(']') {
		if err := s.element(of.element, of.size); err != nil {
			return inItem(index, err)
		}
		index++
	}
	return nil
}

// element walks a value that takes size bytes besides its contents.
func (s *scanner) element(of *shape, size int) error {
	if s.room -= size; s.room < 0 {
		return &Error{Detail: noRoom}
	}
	return s.value(of)
}

// noRoom is the message when there is no room left for a value.
const noRoom = "it would take too much memory once decoded: remove empty list items"

// inItem prefixes the path of an error with a list's index, unless it concerns the whole object: the item at
// which the room ends depends on the rest of the object, such as its status, and a message that is stored in
// the status must not change with it.
func inItem(index int, err error) error {
	if refused := (*Error)(nil); errors.As(err, &refused) && refused.Detail == noRoom {
		refused.Path = ""
		return err
	}
	return in(fmt.Sprintf("[%d]", index), err)
}

// in prefixes the path of an error.
func in(path string, err error) error {
	if refused := (*Error)(nil); errors.As(err, &refused) {
		refused.Path = path + refused.Path
	}
	return err
}

// enter moves past the bracket that opens an object or a list, and reports whether it contains a value.
func (s *scanner) enter(end byte) bool {
	s.at++
	s.space()
	return s.open(end)
}

// next moves past the comma after a value, and reports whether another one follows.
func (s *scanner) next(end byte) bool {
	s.space()
	if s.peek() == ',' {
		s.at++
		s.space()
		return s.open(end)
	}
	s.open(end)
	return false
}

// open reports whether more data precedes the closing bracket, else moves past it.
func (s *scanner) open(end byte) bool {
	if s.peek() == end {
		s.at++
		return false
	}
	return s.at < len(s.data)
}

// key reads the name of a value with its escapes decoded, as the decoder does.
func (s *scanner) key() []byte {
	start := s.at
	s.skip()
	raw := s.data[start:s.at]
	s.space()
	if bytes.IndexByte(raw, '\\') < 0 {
		return bytes.Trim(raw, `"`)
	}
	var key string
	_ = json.Unmarshal(raw, &key) // an invalid string is no name
	return []byte(key)
}

// peek returns the next byte; 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// skip moves past one value.
func (s *scanner) skip() {
	for nested := 0; s.at < len(s.data); {
		switch s.data[s.at] {
		case '"':
			s.text()
		case '{', '[':
			nested++
			s.at++
		case '}', ']':
			nested--
			s.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			s.at++
		default:
			s.literal()
		}
		if nested <= 0 {
			return
		}
	}
}

// text moves past a string.
func (s *scanner) text() {
	for s.at++; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at = len(s.data) // an escape may be cut off
}

// literal moves past a number, true, false or null.
func (s *scanner) literal() {
	for s.at++; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\r', '\n':
			return
		}
	}
}
