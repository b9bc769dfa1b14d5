package checker

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// SameEnd judges L4: two histories that end with the same specs and nodes end with the same pods, apart from names and
// times, and the same numbers in each status. A history whose specs or nodes differ is no comparison, which is reported
// too.
func SameEnd(a, b *history.History) []Violation {
	one, other := endOf(a), endOf(b)
	var found []Violation
	for _, key := range slices.Sorted(maps.Keys(merged(one, other))) {
		if was, is := one[key], other[key]; was != is {
			found = append(found, Violation{ID: L4, Index: len(b.Records) - 1, Key: key, Why: fmt.Sprintf("%q ends with %s, %q with %s", a.Title, orNothing(was), b.Title, orNothing(is))})
		}
	}
	return found
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// endOf describes the last state of a history: specs, nodes, pods and numbers.
func endOf(h *history.History) map[string]string {
	s := newState(h)
	for i := range h.Records {
		s.step(i)
	}
	end := map[string]string{}
	for _, n := range s.nodes {
		if n.object != nil {
			end["node "+n.name] = text(map[string]any{"labels": n.object.Labels, "taints": n.object.Spec.Taints})
		}
	}
	for _, d := range s.daemons {
		if d.gone {
			continue
		}
		name := string(d.kind) + " " + d.key.String()
		end[name+": spec"], end[name+": status"] = specText(d), statusText(d)
		for _, c := range d.cells {
			if len(c.pods) > 0 {
				end[name+" on node "+c.node] = podsText(s, c)
			}
		}
	}
	return end
}

func specText(d *daemon) string {
	spec := d.spec()
	return text(map[string]any{"template": spec.template, "minReady": spec.minReady, "onDelete": spec.onDelete, "suspended": spec.suspended, "unavailable": spec.unavailable, "surge": spec.surge})
}

// statusText leaves out what depends on the past or the time.
func statusText(d *daemon) string {
	switch set := d.object.(type) {
	case *v1alpha1.DaemonSet:
		status := set.Status.DeepCopy()
		status.ObservedGeneration, status.CollisionCount = 0, nil
		status.Conditions = lasting(status.Conditions)
		return text(status)
	case *appsv1.DaemonSet:
		status := set.Status.DeepCopy()
		status.ObservedGeneration, status.CollisionCount, status.Conditions = 0, nil, nil
		return text(status)
	}
	return ""
}

func lasting(conditions []metav1.Condition) (kept []metav1.Condition) {
	for _, c := range conditions {
		kept = append(kept, metav1.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason})
	}
	slices.SortFunc(kept, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return kept
}

// podsText describes the pods of a cell.
func podsText(s *state, c *cell) string {
	pods := make([]string, len(c.pods))
	for i, p := range c.pods {
		spec := p.object.Spec.DeepCopy()
		spec.Volumes = slices.DeleteFunc(spec.Volumes, isToken)
		for i := range spec.Containers {
			spec.Containers[i].VolumeMounts = slices.DeleteFunc(spec.Containers[i].VolumeMounts, func(mount corev1.VolumeMount) bool { return strings.HasPrefix(mount.Name, tokenVolume) })
		}
		labels := maps.Clone(p.object.Labels)
		delete(labels, "pod-template-generation")
		pods[i] = text(map[string]any{"labels": labels, "spec": spec, "available": p.available(s.now)})
	}
	slices.Sort(pods)
	return strings.Join(pods, "\n")
}

// tokenVolume begins the name of the volume that the admission plugin ServiceAccount adds; the rest is random.
const tokenVolume = "kube-api-access-"

func isToken(volume corev1.Volume) bool { return strings.HasPrefix(volume.Name, tokenVolume) }

func text(of any) string {
	data, err := json.Marshal(of)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
