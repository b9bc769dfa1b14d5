package daemon

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A name is also a hostname in the pod: a label of at most 63 characters.
const (
	maxName  = 63
	hashSize = 8
)

// lowerBase32 is Crockford's alphabet in lower case: it leaves out the letters that look like others.
var lowerBase32 = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// slots is how many names the pods of a cell may have. A daemon that never surges uses the first.
const slots = 2

// NoSlot stands for none of them.
const NoSlot = -1

// slotOf is the slot whose name a daemon's pod has. A native pod has none: its name depends on
// those that were there before it.
func slotOf(pod *corev1.Pod) int {
	owner, owned := OwnedByDaemon(pod)
	node, pinned := Target(pod)
	if !owned || !pinned || Native(owner) {
		return NoSlot
	}
	for slot := range slots {
		if pod.Name == PodName(owner.Name, node, slot) {
			return slot
		}
	}
	return NoSlot
}

// PodName is <daemon>-<node>-<hash>: readable, cut to 63 characters, and fixed for (daemon,
// node, slot). There is no node UID and no revision in it, so that within a slot "at most one"
// (S1) is kept by etcd's create-if-absent. The hash covers all three uncut, which keeps cut
// names, and a-b on c and a on b-c, apart.
func PodName(daemon, node string, slot int) string {
	return podName(daemon, node, fmt.Sprintf("%s/%s/%d", daemon, node, slot)) // neither name has a slash
}

// PodName is the name of the template's pod. That of a native pod also depends on the pods that it
// comes after (Cells.After): apps/v1's contract is that the name of a replaced pod vanishes. So
// two controllers that replace the same pod still meet at one name. It is never that of a pod of
// this project's: there may be a daemon of each kind of one name.
func (t *Template) PodName(node string, slot int, after string) string {
	if !t.native() {
		return PodName(t.Name, node, slot)
	}
	return podName(t.Name, node, fmt.Sprintf("%s/%s/%d/%s", t.Name, node, slot, after))
}

// PodNames are the names that a new pod of a node may get, by slot.
func (t *Template) PodNames(node, after string) []string {
	names := make([]string, slots)
	for slot := range names {
		names[slot] = t.PodName(node, slot, after)
	}
	return names
}

func podName(daemon, node, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	hash := lowerBase32.EncodeToString(sum[:])[:hashSize]

	room := maxName - hashSize - 2
	daemon, node = share(daemon, node, room)
	readable := strings.Trim(strings.ReplaceAll(daemon+"-"+node, ".", "-"), "-")
	return readable + "-" + hash
}

// share cuts two texts so that both fit into room: the longer one pays first.
func share(a, b string, room int) (string, string) {
	half := room / 2
	switch {
	case len(a)+len(b) <= room:
	case len(a) <= half:
		b = b[:room-len(a)]
	case len(b) <= half:
		a = a[:room-len(b)]
	default:
		a, b = a[:room-half], b[:half]
	}
	return a, b
}
