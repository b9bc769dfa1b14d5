package webhook

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// reportLimit is how many errors, or warnings, an answer has.
const reportLimit = 50

// mistake is what makes an error the same as one of an older object; its value may differ.
type mistake struct {
	kind          field.ErrorType
	field, detail string
}

var indices = regexp.MustCompile(`\[\d+\]`)

// added are those of errors that were not there before. Who removes or inserts an item of a list moves what
// is wrong with the others to other indices, so an error counts as known, too, while there are no more
// of its kind in the list than before.
func added(errs, before field.ErrorList) field.ErrorList {
	there := map[mistake]bool{}
	for _, err := range before {
		there[mistake{err.Type, err.Field, err.Detail}] = true
	}
	moved := map[mistake]int{} // errors that are no longer where they were
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

// anywhere is a mistake at any index of the lists that it is in.
func anywhere(at mistake) mistake {
	at.field = indices.ReplaceAllString(at.field, "[*]")
	at.detail = indices.ReplaceAllString(at.detail, "[*]")
	return at
}

// reported cuts errors down to what somebody can read.
func reported(errs field.ErrorList) field.ErrorList {
	if len(errs) <= reportLimit {
		return errs
	}
	more := field.Invalid(field.NewPath("spec"), field.OmitValueType{}, fmt.Sprintf("and %d more errors", len(errs)-reportLimit))
	return append(errs[:reportLimit:reportLimit], more)
}
