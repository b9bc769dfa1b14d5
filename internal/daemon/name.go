package daemon

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// A name is also a hostname in the pod: a label of at most 63 characters.
const (
	maxName  = 63
	hashSize = 8
)

// lowerBase32 is Crockford's alphabet in lower case, without easily confused letters.
var lowerBase32 = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// PodName returns the name of a pod that succeeds others: <daemon>-<node>-<hash>, readable and cut to 63
// characters. The hash covers the daemon's UID, the node and the predecessors (Cells.After), all uncut. A name
// therefore disappears with its pod, as in apps/v1's contract, and does not collide with objects that are named
// after the pod and outlive it. Two controllers that replace the same pod derive the same name, which etcd's
// create-if-absent gives to one of them (S1). The spare name is for when another owner's pod has the name.
func (t *Template) PodName(node, after string, spare bool) string {
	identity := fmt.Sprintf("%s/%s/%s", t.Owner.UID, node, after)
	if spare {
		identity += "/spare"
	}
	return podName(t.Name, node, identity)
}

// PodNames returns the names that a new pod of a node may get.
func (t *Template) PodNames(node, after string) []string {
	return []string{t.PodName(node, after, false), t.PodName(node, after, true)}
}

func podName(daemon, node, identity string) string {
	hash := digest(identity)
	room := maxName - hashSize - 2
	daemon, node = share(daemon, node, room)
	readable := strings.Trim(strings.ReplaceAll(daemon+"-"+node, ".", "-"), "-")
	return readable + "-" + hash
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return lowerBase32.EncodeToString(sum[:])[:hashSize]
}

// share cuts two texts so that both fit into room, the longer one first.
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
