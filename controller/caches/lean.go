package caches

import (
	"encoding/binary"
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/everynode/everynode/api/v1alpha1"
)

// cacheScheme has the kinds that are watched. Its pods and nodes are lean, because most of an event's cost was
// decoding the whole object and discarding nine tenths of it. Its DaemonSets of everynode.dev can always be
// decoded.
var cacheScheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	pods, own := corev1.SchemeGroupVersion, v1alpha1.GroupVersion
	scheme.AddKnownTypes(pods, &corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.ResourceQuota{}, &corev1.ResourceQuotaList{}, &corev1.ConfigMap{}, &corev1.ConfigMapList{})
	scheme.AddKnownTypeWithName(pods.WithKind("Pod"), &LeanPod{})
	scheme.AddKnownTypeWithName(pods.WithKind("PodList"), &LeanPodList{})
	scheme.AddKnownTypeWithName(pods.WithKind("Node"), &LeanNode{})
	scheme.AddKnownTypeWithName(pods.WithKind("NodeList"), &LeanNodeList{})
	scheme.AddKnownTypeWithName(own.WithKind("DaemonSet"), &ReadSet{})
	scheme.AddKnownTypeWithName(own.WithKind("DaemonSetList"), &ReadSetList{})
	metav1.AddToGroupVersion(scheme, pods)
	metav1.AddToGroupVersion(scheme, own)
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme, schedulingv1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	return scheme
}()

// LeanPod is a pod of which only the fields that are used are decoded from protobuf, the API server's encoding
// of pods. From JSON it is decoded as a whole.
type LeanPod struct{ corev1.Pod }

// The fields of a pod in protobuf, by number (k8s.io/api/core/v1 generated.proto), and the decoded fields of
// its parts. Numbers never change their meaning.
const (
	podMetadata = 1
	podSpec     = 2
	podStatus   = 3
)

var (
	// name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels,
	// annotations, ownerReferences
	leanMetadata = fields(1, 3, 5, 6, 8, 9, 11, 12, 13)
	leanSpec     = fields(10, 18) // nodeName, affinity
	waitingSpec  = fields(7, 22)  // nodeSelector, tolerations: of a pod that is not bound
	leanStatus   = fields(1, 2)   // phase, conditions
)

// Unmarshal decodes from protobuf.
func (p *LeanPod) Unmarshal(data []byte) error {
	return eachField(data, func(number uint64, _, content []byte) error {
		switch number {
		case podMetadata:
			return decodeFields(leanMetadata, content, p.ObjectMeta.Unmarshal)
		case podSpec:
			if err := decodeFields(leanSpec, content, p.Spec.Unmarshal); err != nil || p.Spec.NodeName != "" {
				return err
			}
			return decodeFields(waitingSpec, content, p.Spec.Unmarshal)
		case podStatus:
			return decodeFields(leanStatus, content, p.Status.Unmarshal)
		}
		return nil
	})
}

// DeepCopyObject implements runtime.Object.
func (p *LeanPod) DeepCopyObject() runtime.Object { return &LeanPod{*p.DeepCopy()} }

// LeanPodList is the answer of a server that does not stream lists. Its items contain the decoded fields.
type LeanPodList struct{ corev1.PodList }

// Unmarshal decodes from protobuf.
func (l *LeanPodList) Unmarshal(data []byte) error {
	return eachField(data, func(number uint64, _, content []byte) error {
		switch number {
		case 1:
			return l.ListMeta.Unmarshal(content)
		case 2:
			var pod LeanPod
			err := pod.Unmarshal(content)
			l.Items = append(l.Items, pod.Pod)
			return err
		}
		return nil
	})
}

// DeepCopyObject implements runtime.Object.
func (l *LeanPodList) DeepCopyObject() runtime.Object { return &LeanPodList{*l.DeepCopy()} }

// fieldSet has a bit for each of its numbers.
type fieldSet uint64

func fields(numbers ...int) (set fieldSet) {
	for _, number := range numbers {
		set |= 1 << number
	}
	return set
}

// decodeFields decodes some of a message's fields, each separately: decoding adds to the object.
func decodeFields(wanted fieldSet, message []byte, decode func([]byte) error) error {
	return eachField(message, func(number uint64, field, _ []byte) error {
		if number < 64 && wanted&(1<<number) != 0 {
			return decode(field)
		}
		return nil
	})
}

var errTruncated = errors.New("the protobuf message is truncated or invalid")

// eachField calls f for every field of a protobuf message: its number, the whole field and, for one with a
// length, such as a message or a text, its content.
func eachField(message []byte, f func(number uint64, field, content []byte) error) error {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		if size <= 0 {
			return errTruncated
		}
		start := size
		var length int
		switch tag & 7 { // the wire type
		case 0: // a varint
			_, length = binary.Uvarint(message[start:])
		case 1:
			length = 8
		case 2:
			said, size := binary.Uvarint(message[start:])
			if size <= 0 || said > uint64(len(message)) {
				return errTruncated
			}
			start, length = start+size, int(said) //nolint:gosec // G115: it is at most the length of the message
		case 5:
			length = 4
		default:
			return errTruncated
		}
		if length < 0 || start+length > len(message) {
			return errTruncated
		}
		if err := f(tag>>3, message[:start+length], message[start:start+length]); err != nil {
			return err
		}
		message = message[start+length:]
	}
	return nil
}
