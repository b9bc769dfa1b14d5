package daemon

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The bounds of a quantity. Comparing, adding or writing one computes with all of its digits and with ten to
// the power of its exponent. apps/v1 stores 1e30000000, and then the API server takes seconds for each pod of
// the template, while other DaemonSets' pods wait. internal/bounded has the same bounds for the texts of
// quantities.
const (
	maxQuantityScale = 128
	maxQuantityBits  = 512
)

// CheckQuantities refuses a template with a quantity that takes seconds to compute with.
func CheckQuantities(template *corev1.PodTemplateSpec) error {
	return checkQuantities("spec.template", reflect.ValueOf(template).Elem())
}

var quantityType = reflect.TypeFor[resource.Quantity]()

// checkQuantities walks all fields, so that it covers those of later releases too.
func checkQuantities(path string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkQuantities(path, v.Elem())
		}
	case reflect.Slice:
		for i := 0; v.Type().Elem().Kind() == reflect.Struct && i < v.Len(); i++ {
			if err := checkQuantities(fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.Type().Elem() != quantityType {
			return nil
		}
		for entries := v.MapRange(); entries.Next(); {
			if err := checkQuantities(fmt.Sprintf("%s[%s]", path, entries.Key()), entries.Value()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if quantity, ok := v.Interface().(resource.Quantity); ok {
			return checkQuantity(path, quantity)
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" { // else it is inlined
				name = "." + name
			}
			if !field.IsExported() {
				continue
			}
			if err := checkQuantities(path+name, v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkQuantity uses a copy: AsDec changes the internal form of a quantity.
func checkQuantity(path string, quantity resource.Quantity) error {
	digits := quantity.AsDec()
	if scale := digits.Scale(); scale > maxQuantityScale || scale < -maxQuantityScale || digits.UnscaledBig().BitLen() > maxQuantityBits {
		return fmt.Errorf("%s: the quantity has too many digits or too large an exponent: write it with a suffix such as m, k or Mi", path)
	}
	return nil
}
