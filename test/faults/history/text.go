package history

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Text returns the records from one index up to, but not including, another one: a line for each, to be read by people.
func (h *History) Text(from, to int) string {
	if len(h.Records) == 0 {
		return ""
	}
	var text strings.Builder
	start := h.Records[0].At
	for i := max(from, 0); i < min(to, len(h.Records)); i++ {
		r := &h.Records[i]
		fmt.Fprintf(&text, "%6d %9.2fs %s\n", i, r.At.Sub(start).Seconds(), r)
	}
	return text.String()
}

// String describes the record in one line.
func (r *Record) String() string {
	switch {
	case r.Change != nil:
		return fmt.Sprintf("r%d %s", r.Revision, r.Change)
	case r.Request != nil:
		return r.Request.String()
	case r.Mark != nil:
		return r.Mark.String()
	}
	return "nothing"
}

var happened = map[string]string{"ADDED": "is created", "MODIFIED": "is now", "DELETED": "is gone; it was"}

func (c *Change) String() string {
	name := c.Object.GetName()
	if namespace := c.Object.GetNamespace(); namespace != "" {
		name = namespace + "/" + name
	}
	return fmt.Sprintf("%s %s (%s) %s%s", strings.TrimSuffix(singular(string(c.Resource)), ".node.k8s.io"), name, c.Object.GetUID(),
		happened[string(c.Type)], describe(c.Object))
}

func singular(resource string) string {
	name, group, grouped := strings.Cut(resource, ".")
	switch name = strings.TrimSuffix(name, "s"); {
	case name == "runtimeclasse":
		name = "runtimeclass"
	case grouped && name == "daemonset":
		return name + "." + group
	}
	return name
}

// describe returns what matters of an object's state.
func describe(object client.Object) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch o := object.(type) {
	case *corev1.Pod:
		describePod(o, add)
	case *corev1.Node:
		for _, taint := range o.Spec.Taints {
			add("tainted %s", taint.ToString())
		}
		if len(o.Labels) > 0 {
			add("labelled %v", o.Labels)
		}
	case *v1alpha1.DaemonSet:
		describeDaemonSet(o, &o.Spec.Template, o.Spec.UpdateStrategy, add)
	case *appsv1.DaemonSet:
		describeDaemonSet(o, &o.Spec.Template, o.Spec.UpdateStrategy, add)
	case *appsv1.ControllerRevision:
		add("number %d", o.Revision)
		add("revision %s", o.Labels[appsv1.ControllerRevisionHashLabelKey])
	}
	if object.GetDeletionTimestamp() != nil {
		add("terminating")
	}
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		add("of %s %s", owner.Name, owner.UID)
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func describePod(pod *corev1.Pod, add func(string, ...any)) {
	switch {
	case pod.Spec.NodeName != "":
		add("on node %s", pod.Spec.NodeName)
	case pinOf(pod) != "":
		add("for node %s", pinOf(pod))
	}
	for _, gate := range pod.Spec.SchedulingGates {
		add("gated by %s", gate.Name)
	}
	if revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]; revision != "" {
		add("revision %s", revision)
	}
	if pod.Annotations[v1alpha1.SurgeAnnotation] != "" {
		add("surging")
	}
	if pod.Status.Phase != "" {
		add("%s", strings.ToLower(string(pod.Status.Phase)))
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			add("ready")
		}
	}
}

// pinOf returns the first node that the pod's required affinity names, for a reader of the text.
func pinOf(pod *corev1.Pod) string {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == metav1.ObjectNameField && len(field.Values) > 0 {
				return field.Values[0]
			}
		}
	}
	return ""
}

func describeDaemonSet(object client.Object, template *corev1.PodTemplateSpec, strategy any, add func(string, ...any)) {
	add("generation %d", object.GetGeneration())
	for _, container := range template.Spec.Containers {
		add("image %s", container.Image)
	}
	switch s := strategy.(type) {
	case v1alpha1.DaemonSetUpdateStrategy:
		if s.RollingUpdate != nil {
			add("maxUnavailable %s, maxSurge %s", s.RollingUpdate.MaxUnavailable, s.RollingUpdate.MaxSurge)
		}
	case appsv1.DaemonSetUpdateStrategy:
		if s.RollingUpdate != nil {
			add("maxUnavailable %s, maxSurge %s", s.RollingUpdate.MaxUnavailable, s.RollingUpdate.MaxSurge)
		}
	}
}

func (r *Request) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s %s", r.User, r.Verb, r.Resource)
	if r.Subresource != "" {
		text.WriteString("/" + r.Subresource)
	}
	fmt.Fprintf(&text, " %s", strings.TrimPrefix(r.Namespace+"/"+r.Name, "/"))
	if r.UID != "" {
		fmt.Fprintf(&text, " of UID %s", r.UID)
	}
	if r.ResourceVersion != "" {
		fmt.Fprintf(&text, " at version %s", r.ResourceVersion)
	}
	if r.DryRun {
		text.WriteString(" as a dry run")
	}
	if r.Object != nil {
		text.WriteString(describe(r.Object))
	}
	if r.View != nil {
		fmt.Fprintf(&text, " (%s, knowing %v)", r.View.Process, r.View.To)
	}
	if r.Code == 0 {
		return text.String() + ": no answer"
	}
	return text.String() + fmt.Sprintf(": %s after %v", strings.TrimSpace(fmt.Sprint(r.Code, " ", r.Reason)), r.Took.Round(time.Millisecond))
}

func (m *Mark) String() string {
	parts := []string{"---", string(m.Kind)}
	if m.Resource != "" {
		parts = append(parts, fmt.Sprintf("of %s after r%d", m.Resource, m.From))
	}
	for _, part := range []string{m.Name, m.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}
