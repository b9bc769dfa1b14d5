package daemon

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Wherever a template may hold a quantity, one that takes seconds to compute with is found, and named.
func TestCheckQuantities(t *testing.T) {
	places := 0
	for _, text := range []string{"1e30000000", "1e129", strings.Repeat("9", 400)} {
		hostile := resource.MustParse(text)
		eachQuantity(reflect.TypeFor[corev1.PodTemplateSpec](), nil, func(path []int) {
			places++
			template := reflect.New(reflect.TypeFor[corev1.PodTemplateSpec]())
			plant(template.Elem(), path, hostile)
			err := CheckQuantities(template.Interface().(*corev1.PodTemplateSpec))
			if err == nil || !strings.HasPrefix(err.Error(), "spec.template.spec.") {
				t.Errorf("%.20s at %v: CheckQuantities = %v", text, path, err)
			}
		})
	}
	if places < 3*15 {
		t.Errorf("only %d places hold a quantity: the walk misses some", places)
	}
	for _, text := range []string{"0", "1", "100m", "1n", "0.000000001", "64Gi", "8Ei", "1e18", "1e99", "9223372036854775807"} {
		template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Overhead: corev1.ResourceList{"cpu": resource.MustParse(text)},
			Volumes:  []corev1.Volume{{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		}}
		if err := CheckQuantities(template); err != nil {
			t.Errorf("%s is refused: %v", text, err)
		}
		if left := template.Spec.Overhead["cpu"]; !reflect.DeepEqual(left, resource.MustParse(text)) {
			t.Errorf("%s is kept in another form: %#v", text, left)
		}
	}
}

// eachQuantity calls f for each place of a type that holds a quantity, by the fields that lead there.
func eachQuantity(in reflect.Type, path []int, f func(path []int)) {
	switch in.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		eachQuantity(in.Elem(), path, f)
	case reflect.Struct:
		if in == quantityType {
			f(path)
			return
		}
		for i := range in.NumField() {
			if in.Field(i).IsExported() && in != reflect.TypeFor[corev1.PodTemplateSpec]() || in.Field(i).Name == "Spec" {
				eachQuantity(in.Field(i).Type, append(path[:len(path):len(path)], i), f)
			}
		}
	}
}

// plant makes everything that leads to a place, and the quantity there.
func plant(v reflect.Value, path []int, quantity resource.Quantity) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		plant(v.Elem(), path, quantity)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		plant(v.Index(0), path, quantity)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("r").Convert(v.Type().Key()), reflect.ValueOf(quantity))
	case reflect.Struct:
		if v.Type() == quantityType {
			v.Set(reflect.ValueOf(quantity))
			return
		}
		plant(v.Field(path[0]), path[1:], quantity)
	}
}
