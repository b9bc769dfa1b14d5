package nodescoped

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// rounding is the direction in which an amount is rounded: needs up, availability down, so that a message never
// claims that 1Gi is needed and 1Gi is free.
type rounding bool

const (
	up   rounding = true
	down rounding = false
)

// The units of bytes.
const (
	ki int64 = 1 << 10
	mi int64 = 1 << 20
	gi int64 = 1 << 30
)

var units = map[int64]string{1: "", ki: "Ki", mi: "Mi", gi: "Gi"}

// amounts formats the needed and the available amount of a resource in one unit: cpu in m, bytes in the unit of
// the smaller one if it is at most one step below, all else as numbers.
func amounts(resource corev1.ResourceName, needs, there int64) (string, string) {
	switch {
	case resource == corev1.ResourceCPU:
		return strconv.FormatInt(needs, 10) + "m", strconv.FormatInt(there, 10) + "m"
	case resource == corev1.ResourceMemory, resource == corev1.ResourceEphemeralStorage, v1helper.IsHugePageResourceName(resource):
		in := unitOf(needs, up)
		if there > 0 {
			in = max(min(in, unitOf(there, down)), in/ki)
		}
		return show(needs, in, up), show(there, in, down)
	}
	return strconv.FormatInt(needs, 10), strconv.FormatInt(there, 10)
}

// unitOf returns the unit for an amount of bytes: Gi for whole ones and from 10 of them, else Mi, Ki below 1Mi.
func unitOf(n int64, to rounding) int64 {
	switch {
	case n < ki:
		return 1
	case n < mi && to.quotient(n, ki) < mi/ki:
		return ki
	case to.quotient(n, mi)%(gi/mi) == 0, n >= 10*gi:
		return gi
	}
	return mi
}

// show formats an amount in a unit; Gi have one decimal.
func show(n, in int64, to rounding) string {
	if in != gi {
		return strconv.FormatInt(to.quotient(n, in), 10) + units[in]
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
