package webhook

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// reportLimit is how many errors, or warnings, an answer contains.
const reportLimit = 50

// mistake identifies an error across two versions of an object; its value may differ.
type mistake struct {
	kind          field.ErrorType
	field, detail string
}

var indices = regexp.MustCompile(`\[\d+\]`)

// added returns the errors that the old object did not have. Removing or inserting an item of a list moves the
// errors of other items to other indices, so an error also counts as known while there are no more of its kind
// in the list than before.
func added(errs, before field.ErrorList) field.ErrorList {
	there := map[mistake]bool{}
	for _, err := range before {
		there[mistake{err.Type, err.Field, err.Detail}] = true
	}
	moved := map[mistake]int{} // errors that are not at their old index any more
	still := map[mistake]bool{}
	var unknown field.ErrorList
	for _, err := range errs {
		if at := (mistake{err.Type, err.Field, err.Detail}); there[at] {
			still[at] = true
		} else {
			unknown = append(unknown, err)
		}
	}
	for at := range there {
		if !still[at] {
			moved[anywhere(at)]++
		}
	}
	var found field.ErrorList
	for _, err := range unknown {
		if kind := anywhere(mistake{err.Type, err.Field, err.Detail}); moved[kind] > 0 {
			moved[kind]--
		} else {
			found = append(found, err)
		}
	}
	return found
}

// anywhere returns a mistake without the indices of the lists that contain it.
func anywhere(at mistake) mistake {
	at.field = indices.ReplaceAllString(at.field, "[*]")
	at.detail = indices.ReplaceAllString(at.detail, "[*]")
	return at
}

// reported limits errors to a readable number.
func reported(errs field.ErrorList) field.ErrorList {
	if len(errs) <= reportLimit {
		return errs
	}
	more := field.Invalid(field.NewPath("spec"), field.OmitValueType{}, fmt.Sprintf("and %d more errors", len(errs)-reportLimit))
	return append(errs[:reportLimit:reportLimit], more)
}
