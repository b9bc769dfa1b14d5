package bounded

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kjson "sigs.k8s.io/json"
)

// whole returns a DaemonSet with quantities in its containers' resources and elsewhere.
type whole = appsv1.DaemonSet

// inSpec returns a DaemonSet with the given JSON in its pod's spec, and in its first container.
func inSpec(container, pod string) string {
	return fmt.Sprintf(`{"metadata":{"name":"d"},"spec":{"template":{"spec":{%s"containers":[{"name":"c"%s}]}}}}`, pod, container)
}

func TestCheck(t *testing.T) {
	const resources = "spec.template.spec.containers[0].resources"
	tests := map[string]struct {
		data string
		want string // what the error begins with; "" for none
	}{
		"ordinary quantities":          {inSpec(`,"resources":{"limits":{"cpu":"100m","memory":"1.5Gi","a/b":1e3,"c":"12E"},"requests":{"cpu":0.5}}`, ""), ""},
		"the largest that is accepted": {inSpec(`,"resources":{"limits":{"cpu":"1e99","memory":"1E-0099"}}`, ""), ""},
		"a small exponent":             {inSpec(`,"resources":{"limits":{"cpu":"1e-40000000"}}`, ""), resources + ".limits[cpu]: 1e-40000000 has an exponent of 8 digits"},
		"a large exponent":             {inSpec(`,"resources":{"requests":{"cpu":"1E+30000000"}}`, ""), resources + ".requests[cpu]: "},
		"an exponent beyond int64":     {inSpec(`,"resources":{"limits":{"cpu":"1e99999999999999999999"}}`, ""), resources + ".limits[cpu]: "},
		"an exponent of three":         {inSpec(`,"resources":{"limits":{"cpu":"1e100"}}`, ""), resources + ".limits[cpu]: "},
		"a number":                     {inSpec(`,"resources":{"limits":{"cpu":1e-40000000}}`, ""), resources + ".limits[cpu]: "},
		"white space":                  {inSpec(" ,\n\"resources\" : {\t\"limits\" : { \"cpu\" : \" 1e-40000000 \" } } ", ""), resources + ".limits[cpu]: "},
		"many digits":                  {inSpec(`,"resources":{"limits":{"cpu":"`+strings.Repeat("1", 1<<20)+`"}}`, ""), resources + ".limits[cpu]: 11111111111111111111… is 1048578 characters long"},
		"a name with an escape":        {inSpec(`,"resources":{"limi\u0074s":{"cpu":"1e-40000000"}}`, ""), resources + ".limits[cpu]: "},
		"the same field again":         {inSpec(`,"resources":{"limits":{"cpu":"1e-40000000"}},"resources":{}`, ""), resources + ".limits[cpu]: "},
		"a pointer":                    {inSpec("", `"volumes":[{"name":"a"},{"name":"v","emptyDir":{"sizeLimit":"1e-40000000"}}],`), "spec.template.spec.volumes[1].emptyDir.sizeLimit: "},
		"an overhead":                  {inSpec("", `"overhead":{"cpu":"1e-40000000"},`), "spec.template.spec.overhead[cpu]: "},
		"a divisor":                    {inSpec(`,"env":[{"name":"A","valueFrom":{"resourceFieldRef":{"divisor":"1e-40000000"}}}]`, ""), "spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: "},
		"a claim's template":           {inSpec("", `"volumes":[{"ephemeral":{"volumeClaimTemplate":{"spec":{"resources":{"requests":{"storage":"1e-40000000"}}}}}}],`), "spec.template.spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: "},
		"after an unknown field":       {`{"spec":{"selector":[1e5,{"a":"}"}],"template":{"metadata":7,"spec":{"overhead":{"a":"1e-40000000"}}}}}`, "spec.template.spec.overhead[a]: "},
		"not a quantity":               {inSpec(`,"env":[{"name":"limits","value":"1e-40000000"}],"args":["1e-40000000"]`, `"nodeSelector":{"sizeLimit":"1e-40000000"},`), ""},
		"an unknown field":             {inSpec(`,"LIMITS":{"limits":{"cpu":"1e-40000000"}}`, `"x":[{"sizeLimit":"1e-40000000"}],`), ""},
		"a number beyond int32":        {`{"spec":{"minReadySeconds":5000000000,"updateStrategy":{"rollingUpdate":{"maxUnavailable":5000000000}}}}`, ""},
		"many containers":              {inSpec(`},`+strings.Repeat(`{},`, 100000)+`{"name":"d"`, ""), "spec.template.spec.containers: it would take too much memory once decoded"},
		"many empty pointers":          {inSpec("", `"volumes":[`+strings.Repeat(`{"rbd":{}},`, 100000)+`{}],`), "spec.template.spec.volumes: it would take too much memory once decoded"},
		"many environment variables":   {inSpec(`,"env":[`+strings.Repeat(`{"name":"A"},`, 100000)+`{"name":"B"}]`, ""), ""},
		"nothing":                      {"", ""},
		"null":                         {"null", ""},
		"a list":                       {"[]", ""},
		"deep in an unknown field":     {`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `,"spec":{"template":{"spec":{"overhead":{"a":"1e-40000000"}}}}}`, "spec.template.spec.overhead[a]: "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := Check[whole]([]byte(tc.data))
			if got := fmt.Sprint(err); tc.want == "" && err != nil || !strings.HasPrefix(got, tc.want) && err != nil || tc.want != "" && err == nil {
				t.Errorf("Check: %.300v, want %q", got, tc.want)
			}
		})
	}
}

// tree contains itself.
type tree struct {
	Value    resource.Quantity `json:"value"`
	Children []tree            `json:"children"`
}

func TestDepth(t *testing.T) {
	nest := func(depth int) []byte {
		return []byte(strings.Repeat(`{"children":[`, depth) + `{"value":"1e-40000000"}` + strings.Repeat(`]}`, depth))
	}
	for _, depth := range []int{0, 10, 40, 60, 4000} {
		if Check[tree](nest(depth)) == nil {
			t.Errorf("a quantity at depth %d is accepted", depth)
		}
	}
}

func TestUnmarshal(t *testing.T) {
	var set whole
	if err := Unmarshal([]byte(inSpec(`,"resources":{"limits":{"cpu":"1e3"}}`, "")), &set); err != nil {
		t.Fatal(err)
	}
	if cpu := set.Spec.Template.Spec.Containers[0].Resources.Limits.Cpu(); cpu.Value() != 1000 {
		t.Errorf("the limit is %s", cpu)
	}
	const inStruct = "json: cannot unmarshal"
	for name, tc := range map[string]struct{ data, want string }{
		"a large exponent": {inSpec(`,"resources":{"limits":{"cpu":"1e-40000000"}}`, ""), "spec.template.spec.containers[0].resources.limits[cpu]: 1e-40000000 has"},
		"no quantity":      {inSpec(`,"resources":{"limits":{"cpu":"much"}}`, ""), `spec.template.spec.containers[0].resources.limits[cpu]: "much" cannot be decoded`},
		"an int-or-string": {`{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":5000000000}}}}`, "spec.updateStrategy.rollingUpdate.maxUnavailable: 5000000000 cannot be decoded"},
		"a time":           {`{"metadata":{"creationTimestamp":"now"}}`, `metadata.creationTimestamp: "now" cannot be decoded`},
		"a number":         {`{"spec":{"minReadySeconds":5000000000}}`, inStruct},
		"another type":     {`{"spec":[]}`, inStruct},
		"bad syntax":       {`{"spec":`, "unexpected end"},
		"trailing commas":  {`{"spec":{},}`, "invalid character"},
	} {
		if err := Unmarshal([]byte(tc.data), &whole{}); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// decodeBudget is how long decoding may take for data that Check accepts; a short input takes microseconds.
const decodeBudget = time.Second

// Data that Check accepts contains no quantity whose cost exceeds its length, as the decoder sees
// it, and is decoded quickly.
func FuzzCheck(f *testing.F) {
	for _, quantity := range []string{`"1"`, `1e-400`, `"1e400"`, `"1e4000"`, `" 1e-400"`, `"\u0031e400"`, `"1e0000400"`, `"1E+400"`, `null`, `{}`, `["1e400"]`} {
		for _, container := range []string{`,"resources":{"limits":{"cpu":%s}}`, `,"resourc\u0065s":{"limits":{"a":{},"cpu":%s}}`, `,"env":[null,{"valueFrom":{"resourceFieldRef":{"divisor":%s}}}]`} {
			f.Add([]byte(inSpec(fmt.Sprintf(container, quantity), "")))
		}
	}
	f.Add([]byte(`{"spec":{"template":{"spec":{"volumes":[{"emptyDir":{"sizeLimit":"1e400"}},]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := Check[whole](data); err != nil {
			return
		}
		begun := time.Now()
		var set whole
		_ = kjson.UnmarshalCaseSensitivePreserveInts(data, &set)
		if took := time.Since(begun); took > decodeBudget {
			t.Errorf("decoding takes %s", took)
		}
		for _, quantity := range quantitiesOf(&set.Spec.Template.Spec) {
			if text := quantity.AsDec().String(); len(text) > 2*maxQuantityLength {
				t.Errorf("a quantity of %d digits is accepted", len(text))
			}
		}
	})
}

func quantitiesOf(spec *corev1.PodSpec) []resource.Quantity {
	var found []resource.Quantity
	all := func(list corev1.ResourceList) {
		for _, quantity := range list {
			found = append(found, quantity)
		}
	}
	all(spec.Overhead)
	for _, container := range spec.Containers {
		all(container.Resources.Limits)
		all(container.Resources.Requests)
		for _, env := range container.Env {
			if env.ValueFrom != nil && env.ValueFrom.ResourceFieldRef != nil {
				found = append(found, env.ValueFrom.ResourceFieldRef.Divisor)
			}
		}
	}
	for _, volume := range spec.Volumes {
		if volume.EmptyDir != nil && volume.EmptyDir.SizeLimit != nil {
			found = append(found, *volume.EmptyDir.SizeLimit)
		}
	}
	return found
}

// BenchmarkCheck reports what Check adds to decoding, for an object at etcd's size limit.
func BenchmarkCheck(b *testing.B) {
	var containers []corev1.Container
	for i := range 2500 {
		containers = append(containers, corev1.Container{
			Name: fmt.Sprintf("c%d", i), Image: "registry.example.org/team/agent:v1.2.3", Args: []string{"--first=1", "--second=2"},
			Env:       []corev1.EnvVar{{Name: "A", Value: "a value"}, {Name: "B", Value: `another "value"`}},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}},
		})
	}
	data, err := json.Marshal(&whole{Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: containers}}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("check", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if err := Check[whole](data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &whole{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
