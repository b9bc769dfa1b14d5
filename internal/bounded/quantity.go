package bounded

import (
	"bytes"
	"fmt"
)

// The bounds of a quantity. The largest that Kubernetes can compute with is 2^63-1, the smallest 1n.
const (
	maxQuantityLength = 128
	maxExponentDigits = 2
)

// checkQuantity refuses the JSON text of a quantity that is long or has a large exponent. The decoder checks
// whether it is a quantity at all.
func checkQuantity(text []byte) error {
	shown := bytes.Trim(text, `"`)
	if len(text) > maxQuantityLength {
		return fmt.Errorf("%.20s… is %d characters long: write the quantity with %d at most", shown, len(text), maxQuantityLength)
	}
	if digits := exponentDigits(text); digits > maxExponentDigits {
		return fmt.Errorf("%s has an exponent of %d digits: write the quantity with %d at most, or with a suffix such as m, k or Mi", shown, digits, maxExponentDigits)
	}
	return nil
}

// exponentDigits counts the digits after the last e or E, without leading zeros.
func exponentDigits(text []byte) int {
	mark := bytes.LastIndexAny(text, "eE")
	if mark < 0 {
		return 0
	}
	digits := 0
	for _, c := range text[mark+1:] {
		if c >= '1' && c <= '9' || c == '0' && digits > 0 {
			digits++
		}
	}
	return digits
}
