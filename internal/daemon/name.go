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

// PodNames are the names that a daemon's pods on a node may have, by slot.
func PodNames(daemon, node string) []string {
	names := make([]string, slots)
	for slot := range names {
		names[slot] = PodName(daemon, node, slot)
	}
	return names
}

// slotOf is the slot whose name a daemon's pod has.
func slotOf(pod *corev1.Pod) int {
	owner, owned := OwnedByDaemon(pod)
	node, pinned := Target(pod)
	for slot := range slots {
		if owned && pinned && pod.Name == PodName(owner.Name, node, slot) {
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
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", daemon, node, slot)) // neither name has a slash
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
