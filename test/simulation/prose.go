package simulation

import (
	"fmt"
	"io"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

func (n *note) text() string { return fmt.Sprintf(n.format, n.args...) }

const revisionLabel = appsv1.ControllerRevisionHashLabelKey

// Tell writes the run for readers: one line for each thing that happened, with its virtual time.
func (r *Run) Tell(to io.Writer) {
	said := map[string]string{}
	notes := r.journal.notes
	tellNotes := func(before int) {
		for len(notes) > 0 && notes[0].before <= before {
			fmt.Fprintf(to, "%s  ── %s\n", timeOf(notes[0].at), notes[0].text())
			notes = notes[1:]
		}
	}
	for i := range r.History.Records {
		tellNotes(i)
		if line := tell(&r.History.Records[i], said); line != "" {
			fmt.Fprintf(to, "%s  %s\n", timeOf(r.History.Records[i].At), line)
		}
	}
	tellNotes(len(r.History.Records))
}

// Text returns the run for readers.
func (r *Run) Text() string {
	var text strings.Builder
	r.Tell(&text)
	return text.String()
}

func timeOf(at time.Time) string { return fmt.Sprintf("%9.1fs", at.Sub(fixture.T0).Seconds()) }

func tell(record *history.Record, said map[string]string) string {
	switch {
	case record.Mark != nil && record.Mark.Kind == history.Started:
		return "── controller " + record.Mark.Text + " starts"
	case record.Mark != nil:
		return "── " + record.Mark.Text
	case record.Request != nil:
		return tellRequest(record.Request)
	}
	return tellChange(record.Revision, record.Change, said)
}

func tellRequest(request *history.Request) string {
	who := request.User[strings.LastIndex(request.User, ":")+1:]
	line := fmt.Sprintf("%s: %s %s %s", who, request.Verb, short(history.Resource(request.Resource)), request.Name)
	if request.Subresource != "" {
		line += "/" + request.Subresource
	}
	if request.DryRun {
		line += " (dry run)"
	}
	if request.UID != "" {
		line += " if " + string(request.UID)
	}
	if request.ResourceVersion != "" {
		line += " at " + request.ResourceVersion
	}
	return fmt.Sprintf("%s → %d %s", line, request.Code, request.Reason)
}

func short(resource history.Resource) string {
	name, _, _ := strings.Cut(string(resource), ".")
	return strings.TrimSuffix(name, "s")
}

// tellChange says what an object is now; nothing if that is what was said of it before.
func tellChange(revision int64, change *history.Change, said map[string]string) string {
	if change.Resource == memory.Events || change.Resource == memory.ResourceQuotas {
		return ""
	}
	key := string(change.Resource) + "/" + client.ObjectKeyFromObject(change.Object).String()
	now := describe(change.Object)
	if change.Type == watch.Deleted {
		delete(said, key)
		now = "is gone"
	} else if said[key] == now {
		return ""
	} else {
		said[key] = now
	}
	return fmt.Sprintf("    %s %s (%s) %s [%d]", short(change.Resource), change.Object.GetName(), change.Object.GetUID(), now, revision)
}

func describe(object client.Object) string {
	switch object := object.(type) {
	case *corev1.Pod:
		return describePod(object)
	case *corev1.Node:
		return fmt.Sprintf("labels %v, taints %v", object.Labels, object.Spec.Taints)
	}
	if resource := memory.ResourceOf(object); resource == history.DaemonSets || resource == history.NativeDaemonSets {
		status := fixture.FromStored(object).Status
		return fmt.Sprintf("generation %d, observed %d: %d desired, %d scheduled, %d updated, %d available", object.GetGeneration(), status.ObservedGeneration,
			status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.UpdatedNumberScheduled, status.NumberAvailable)
	}
	return "exists"
}

func describePod(pod *corev1.Pod) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	add("revision %s", pod.Labels[revisionLabel])
	if node, pinned := daemon.Target(pod); pod.Spec.NodeName != "" {
		add("bound to %s", pod.Spec.NodeName)
	} else if pinned {
		add("for %s", node)
	}
	if pod.Annotations[v1alpha1.SurgeAnnotation] == "true" {
		add("surging")
	}
	add("%s", pod.Status.Phase)
	if isReady(pod) {
		add("ready")
	}
	if _, owned := daemon.OwnedByDaemon(pod); !owned {
		add("without an owner")
	}
	if pod.DeletionTimestamp != nil {
		add("terminating")
	}
	return strings.Join(parts, ", ")
}
