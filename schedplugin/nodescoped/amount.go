package nodescoped

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// rounding is the direction in which an amount is rounded: needs up, what is there down, so that
// a message never says that 1Gi is needed and 1Gi is free.
type rounding bool

const (
	up   rounding = true
	down rounding = false
)

const (
	ki int64 = 1 << 10
	mi int64 = 1 << 20
	gi int64 = 1 << 30
)

// amount is an amount of a resource for people: cpu in m, bytes in units, all else as a number.
func amount(resource corev1.ResourceName, n int64, to rounding) string {
	switch {
	case resource == corev1.ResourceCPU:
		return strconv.FormatInt(n, 10) + "m"
	case resource == corev1.ResourceMemory, resource == corev1.ResourceEphemeralStorage, v1helper.IsHugePageResourceName(resource):
		return bytes(n, to)
	}
	return strconv.FormatInt(n, 10)
}

// bytes are whole Gi or tenths from 10Gi, else whole Mi, else whole Ki.
func bytes(n int64, to rounding) string {
	mebibytes := to.quotient(n, mi)
	switch {
	case n < ki:
		return strconv.FormatInt(n, 10)
	case n < mi && to.quotient(n, ki) < mi/ki:
		return fmt.Sprintf("%dKi", to.quotient(n, ki))
	case mebibytes%(gi/mi) == 0:
		return fmt.Sprintf("%dGi", mebibytes/(gi/mi))
	case n < 10*gi:
		return fmt.Sprintf("%dMi", mebibytes)
	}
	whole, tenths := n/gi, to.quotient(n%gi*10, gi)
	whole, tenths = whole+tenths/10, tenths%10
	if tenths == 0 {
		return fmt.Sprintf("%dGi", whole)
	}
	return fmt.Sprintf("%d.%dGi", whole, tenths)
}

func (to rounding) quotient(n, unit int64) int64 {
	if to == up && n%unit != 0 {
		return n/unit + 1
	}
	return n / unit
}
