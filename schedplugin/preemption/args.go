package preemption

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Args are the plugin's arguments under pluginConfig.
type Args struct {
	// RefillBackoffInitial is how long preemption for a pod waits when the room that was made for it was taken.
	// It doubles each time, and resets when the pod is bound. Defaults to 5s.
	RefillBackoffInitial metav1.Duration `json:"refillBackoffInitial,omitempty"`
	// RefillBackoffMax is the longest wait. Defaults to 15m.
	RefillBackoffMax metav1.Duration `json:"refillBackoffMax,omitempty"`
}

func defaultArgs() Args {
	return Args{
		RefillBackoffInitial: metav1.Duration{Duration: 5 * time.Second},
		RefillBackoffMax:     metav1.Duration{Duration: 15 * time.Minute},
	}
}

func (a *Args) validate() error {
	first, last := a.RefillBackoffInitial.Duration, a.RefillBackoffMax.Duration
	if first <= 0 {
		return fmt.Errorf("refillBackoffInitial is %s: set a duration above 0s", first)
	}
	if last < first {
		return fmt.Errorf("refillBackoffMax is %s: set at least refillBackoffInitial, %s", last, first)
	}
	return nil
}
