package daemon

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	upstreamapps "k8s.io/kubernetes/pkg/apis/apps/v1"
	upstreamcore "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/util/parsers"
	"pgregory.net/rapid"
)

// Whatever a template sets: what the API server makes of it, and of the pod made from it, is the
// same template. So is its canonical form, and to make that leaves the template as it was.
func TestDefaultedTemplatesAreTheSame(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.H2CContainerProbe, true) // it has a default
	rapid.Check(t, func(t *rapid.T) {
		template := drawTemplate(t)
		before := template.DeepCopy()
		want := canonical(template)
		if diff := cmp.Diff(before, template); diff != "" {
			t.Fatalf("the template changed:\n%s", diff)
		}

		set := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: *template.DeepCopy()}}
		upstreamapps.SetObjectDefaults_DaemonSet(set)
		pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
		upstreamcore.SetObjectDefaults_Pod(pod)
		for name, same := range map[string]*corev1.PodTemplateSpec{
			"as the template of a DaemonSet": &set.Spec.Template,
			"as a pod":                       {ObjectMeta: pod.ObjectMeta, Spec: pod.Spec},
			"in its canonical form":          want,
		} {
			if diff := cmp.Diff(want, canonical(same)); diff != "" {
				t.Fatalf("canonical forms of the template, and of it %s (-want, +got):\n%s", name, diff)
			}
			if one, other := mustEncode(t, want), mustEncode(t, canonical(same)); one != other {
				t.Fatalf("the template is encoded as %s, and %s as %s", one, name, other)
			}
		}
	})
}

// Changing any single field of a template makes another template.
func TestEverythingSetCounts(t *testing.T) {
	template := fullTemplate(1)
	before := mustEncode(t, canonical(template))
	for i := range settingsIn(reflect.ValueOf(template).Elem(), "") {
		other := template.DeepCopy()
		setting := settingsIn(reflect.ValueOf(other).Elem(), "")[i]
		setting.change()
		hidden := setting.path == ".Spec.DeprecatedServiceAccount" // by its alias
		if same := mustEncode(t, canonical(other)) == before; same != hidden {
			t.Errorf("a change of %s makes the same template %v, want %v", setting.path, same, hidden)
		}
	}
}

// orderFree are the lists of a template in which two elements may change places.
var orderFree = sets.New(
	"ObjectMeta.Finalizers",

	"PodSpec.Volumes", "PodSpec.ImagePullSecrets", "PodSpec.Tolerations", "PodSpec.ReadinessGates", "PodSpec.SchedulingGates",
	"PodSpec.TopologySpreadConstraints", "PodSpec.ResourceClaims", "PodSpec.EvictionResponders",
	"PodSecurityContext.SupplementalGroups", "PodSecurityContext.Sysctls",

	"Container.Ports", "Container.VolumeMounts", "Container.VolumeDevices", "Container.ResizePolicy",
	"Capabilities.Add", "Capabilities.Drop", "ResourceRequirements.Claims", "ContainerRestartRuleOnExitCodes.Values",

	"NodeSelector.NodeSelectorTerms", "NodeSelectorTerm.MatchExpressions", "NodeSelectorTerm.MatchFields", "NodeSelectorRequirement.Values",
	"LabelSelector.MatchExpressions", "LabelSelectorRequirement.Values",
	"NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution",
	"PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution", "PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution",
	"PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution", "PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution",
	"PodAffinityTerm.Namespaces", "PodAffinityTerm.MatchLabelKeys", "PodAffinityTerm.MismatchLabelKeys",
	"TopologySpreadConstraint.MatchLabelKeys",

	"PersistentVolumeClaimSpec.AccessModes",
	"SecretVolumeSource.Items", "SecretProjection.Items", "ConfigMapVolumeSource.Items", "ConfigMapProjection.Items",
	"DownwardAPIVolumeSource.Items", "DownwardAPIProjection.Items",
)

// Two elements that change places make another template, but for the lists of orderFree.
func TestOrderOfLists(t *testing.T) {
	template := canonical(fullTemplate(2))
	before := mustEncode(t, template)
	seen := sets.New[string]()
	for _, list := range listsIn(reflect.ValueOf(template).Elem(), "") {
		if list.value.Len() == 0 {
			continue
		}
		swap := reflect.Swapper(list.value.Interface())
		swap(0, 1)
		if same := mustEncode(t, canonical(template)) == before; same != orderFree.Has(list.name) {
			t.Errorf("%s in another order: same template %v, want %v", list.name, same, !same)
		}
		swap(0, 1)
		seen.Insert(list.name)
	}
	if missed := orderFree.Difference(seen); missed.Len() > 0 {
		t.Errorf("no list has the name %v", sets.List(missed))
	}
}

// Nothing but an image's tag and digest decides what it is pulled by.
func TestDefaultPullPolicy(t *testing.T) {
	registry := rapid.SampledFrom([]string{"", "docker.io/", "registry.example.com:5000/", "localhost/", "registry.example.com/a/b/"})
	tag := rapid.SampledFrom([]string{"", ":latest", ":1.2", ":latest-alpine", ":5000"})
	digest := rapid.SampledFrom([]string{"", "@sha256:" + strings.Repeat("a", 64)})
	rapid.Check(t, func(t *rapid.T) {
		image := registry.Draw(t, "registry") + rapid.SampledFrom([]string{"agent", "latest"}).Draw(t, "name") + tag.Draw(t, "tag") + digest.Draw(t, "digest")
		_, tag, _, err := parsers.ParseImageName(image)
		if err != nil {
			t.Fatal(err)
		}
		want := corev1.PullIfNotPresent
		if tag == "latest" {
			want = corev1.PullAlways
		}
		if got := defaultPullPolicy(image); got != want {
			t.Fatalf("pull policy of %s is %s, want %s", image, got, want)
		}
	})
}

func mustEncode(t interface{ Fatal(args ...any) }, value any) string {
	raw, err := encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// drawTemplate is a template with about half of all there is to set, little of which makes sense.
// Upstream's defaults come in by themselves, where nothing is set.
func drawTemplate(t *rapid.T) *corev1.PodTemplateSpec {
	images := rapid.SampledFrom([]string{"agent", "agent:latest", "agent:1", "reg:5000/agent", "agent@sha256:" + strings.Repeat("a", 64)})
	texts := rapid.SampledFrom([]string{"", "", "a", "b", "c"})
	numbers := rapid.SampledFrom([]int32{0, 0, 1, 2, -3})
	lengths := rapid.SampledFrom([]int{absent, 0, 1, 2})
	ports := rapid.SampledFrom([]intstr.IntOrString{{}, intstr.FromInt32(80), intstr.FromString("80")})
	quantities := rapid.SampledFrom([]string{"0", "1", "1000m", "0.5", "500m", "1Gi", "1024Mi", "0.0001", "1.0005", "1e3", "16Ei"})
	return makeTemplate(&filler{
		image:    func(path string) string { return images.Draw(t, path) },
		text:     func(path string) string { return texts.Draw(t, path) },
		number:   func(path string) int32 { return numbers.Draw(t, path) },
		yes:      func(path string) bool { return rapid.Bool().Draw(t, path) },
		length:   func(path string) int { return lengths.Draw(t, path) },
		port:     func(path string) intstr.IntOrString { return ports.Draw(t, path) },
		quantity: func(path string) resource.Quantity { return resource.MustParse(quantities.Draw(t, path)) },
	})
}

// fullTemplate is a template with all there is to set, every value another and none a default,
// and with so many elements in every list.
func fullTemplate(elements int) *corev1.PodTemplateSpec {
	last := int32(100_000)
	next := func(string) int32 { last++; return last }
	text := func(path string) string { return fmt.Sprint("text-", next(path)) }
	return makeTemplate(&filler{
		image:  text,
		text:   text,
		number: next,
		yes:    func(string) bool { return true },
		length: func(string) int { return elements },
		port:   func(path string) intstr.IntOrString { return intstr.FromInt32(next(path)) },
		quantity: func(path string) resource.Quantity {
			return *resource.NewQuantity(int64(next(path)), resource.DecimalSI)
		},
	})
}

// makeTemplate has a volume of every kind.
func makeTemplate(from *filler) *corev1.PodTemplateSpec {
	template := &corev1.PodTemplateSpec{}
	from.fill(reflect.ValueOf(template).Elem(), "")
	template.Spec.EphemeralContainers = nil // no template may have them
	kinds := reflect.TypeFor[corev1.VolumeSource]()
	template.Spec.Volumes = make([]corev1.Volume, kinds.NumField())
	for i := range kinds.NumField() {
		volume := &template.Spec.Volumes[i]
		volume.Name = kinds.Field(i).Name
		from.fill(reflect.ValueOf(&volume.VolumeSource).Elem().Field(i), ".Volume."+volume.Name)
	}
	return template
}

// absent is the length of a list that is not there.
const absent = -1

// filler decides what to set.
type filler struct {
	image, text func(path string) string
	number      func(path string) int32
	yes         func(path string) bool
	length      func(path string) int
	port        func(path string) intstr.IntOrString
	quantity    func(path string) resource.Quantity
}

// fill sets value and all that it holds.
func (f *filler) fill(value reflect.Value, path string) {
	switch value.Interface().(type) {
	case resource.Quantity:
		value.Set(reflect.ValueOf(f.quantity(path)))
		return
	case intstr.IntOrString:
		value.Set(reflect.ValueOf(f.port(path)))
		return
	case metav1.Time, []corev1.Volume:
		return
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(f.text(path))
	case reflect.Bool:
		value.SetBool(f.yes(path))
	case reflect.Int32, reflect.Int64:
		value.SetInt(int64(f.number(path)))
	case reflect.Pointer:
		if f.yes(path) {
			value.Set(reflect.New(value.Type().Elem()))
			f.fill(value.Elem(), path)
		}
	case reflect.Slice:
		if n := f.length(path); n != absent {
			value.Set(reflect.MakeSlice(value.Type(), n, n))
		}
		for i := range value.Len() {
			f.fill(value.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		f.fillMap(value, path)
	case reflect.Struct:
		f.fillFields(value, path)
	}
}

func (f *filler) fillMap(value reflect.Value, path string) {
	n := f.length(path)
	if n == absent {
		return
	}
	value.Set(reflect.MakeMap(value.Type()))
	for range n {
		key, element := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		f.fill(key, path)
		f.fill(element, path)
		value.SetMapIndex(key, element)
	}
}

func (f *filler) fillFields(value reflect.Value, path string) {
	for i := range value.NumField() {
		switch field := value.Type().Field(i); {
		case !field.IsExported():
		case field.Name == "Image" && field.Type.Kind() == reflect.String || field.Name == "Reference":
			value.Field(i).SetString(f.image(path))
		default:
			f.fill(value.Field(i), path+"."+field.Name)
		}
	}
}

// setting is one field of a template.
type setting struct {
	path   string
	change func()
}

func settingsIn(value reflect.Value, path string) []setting {
	const number = 7654
	set := func(other any) []setting {
		return []setting{{path, func() { value.Set(reflect.ValueOf(other).Convert(value.Type())) }}}
	}
	switch v := value.Interface().(type) {
	case resource.Quantity:
		return set(resource.MustParse("7654"))
	case intstr.IntOrString:
		return set(intstr.FromInt32(number))
	case metav1.ObjectMeta: // no pod gets the rest
		return slices.Concat(settingsIn(value.FieldByName("Labels"), path+".Labels"),
			settingsIn(value.FieldByName("Annotations"), path+".Annotations"), settingsIn(value.FieldByName("Finalizers"), path+".Finalizers"))
	case bool:
		return set(!v)
	}
	var settings []setting
	switch value.Kind() {
	case reflect.String:
		return set("another")
	case reflect.Int32, reflect.Int64:
		return set(number)
	case reflect.Pointer:
		if !value.IsNil() {
			return settingsIn(value.Elem(), path)
		}
	case reflect.Slice:
		for i := range value.Len() {
			settings = append(settings, settingsIn(value.Index(i), fmt.Sprintf("%s[%d]", path, i))...)
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(value.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			element := reflect.New(value.Type().Elem()).Elem()
			for _, within := range settingsIn(element, fmt.Sprintf("%s[%s]", path, key)) {
				settings = append(settings, setting{within.path, func() { within.change(); value.SetMapIndex(key, element) }})
			}
		}
	case reflect.Struct:
		for i := range value.NumField() {
			settings = append(settings, settingsIn(value.Field(i), path+"."+value.Type().Field(i).Name)...)
		}
	}
	return settings
}

// listIn is a list in a template, named by the type and the field that hold it.
type listIn struct {
	name  string
	value reflect.Value
}

func listsIn(value reflect.Value, name string) []listIn {
	var lists []listIn
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			return listsIn(value.Elem(), name)
		}
	case reflect.Slice:
		lists = append(lists, listIn{name, value})
		for i := range value.Len() {
			lists = append(lists, listsIn(value.Index(i), "")...)
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if field := value.Type().Field(i); field.IsExported() {
				lists = append(lists, listsIn(value.Field(i), value.Type().Name()+"."+field.Name)...)
			}
		}
	}
	return lists
}
