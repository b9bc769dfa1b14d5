package simulation

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/faults/history"
)

// Judged runs a cluster that is determined by a seed, in which some templates crash or do not start, on some of the nodes, while users
// change the template and what follows a failure, abort and retry, and the controller restarts at any moment.
func Judged(seed uint64) *Run {
	c := newCluster(seed, model.Kinds{Everynode: true}, 1, 1)
	c.journal.history.Title = fmt.Sprintf("rollouts of templates that fail, seed %d", seed)
	for range 4 + c.random.IntN(3) {
		c.addNode()
	}
	c.addDaemon("d", false, limits{unavailable: 1 + int32(seed/2%2)}, func(set *v1alpha1.DaemonSet) {
		set.Spec.Rollout = &v1alpha1.Rollout{OnFailure: pick(c, onFailures)}
	})
	c.controllers[0].start(0)
	c.settle(calm)
	c.mark(history.FaultBegins, "templates fail")
	for range 2 {
		c.spoilImage()
	}
	for range rolloutSteps {
		switch n := c.random.IntN(1000); {
		case n < 25:
			pick(c, judgedActs)(c)
		case n < 32:
			pick(c, heldActs)(c)
		case n < 80:
			c.clock.Advance(pick(c, []time.Duration{time.Second, 10 * time.Second, time.Minute}))
		case n < 280:
			c.onPod(func(pod *corev1.Pod) { c.progress(pod) })
		default:
			c.step()
		}
	}
	return c.finish()
}

var onFailures = []v1alpha1.OnFailure{v1alpha1.OnFailurePause, v1alpha1.OnFailureRollback, v1alpha1.OnFailureRollback, v1alpha1.OnFailureContinue}

// judgedActs are what happens to a rollout whose template may fail.
var judgedActs = []func(*Cluster){
	func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setImage(set, fmt.Sprintf("image:%d", 1+c.random.IntN(4))) })
	},
	(*Cluster).spoilImage,
	(*Cluster).spoilImage,
	func(c *Cluster) {
		to := pick(c, onFailures)
		c.holdBack("onFailure "+string(to), func(rollout *v1alpha1.Rollout) { rollout.OnFailure = to })
	},
	func(c *Cluster) { c.verb(v1alpha1.AbortAnnotation) },
	func(c *Cluster) { c.verb(v1alpha1.RetryAnnotation) },
	func(c *Cluster) { c.clock.Advance(3 * time.Minute) },
	func(c *Cluster) { c.clock.Advance(pick(c, []time.Duration{2 * time.Minute, 5 * time.Minute})) },
	func(c *Cluster) {
		c.controllers[0].kill()
		c.controllers[0].start(c.api.Revision())
	},
}

// spoilImage changes how an image fails, or repairs it.
func (c *Cluster) spoilImage() {
	image, how := fmt.Sprintf("image:%d", 2+c.random.IntN(3)), pick(c, []string{"", "crashes", "CreateContainerConfigError", "ErrImagePull", "ErrImagePull: not found"})
	c.note("image %s fails: %q", image, how)
	if c.failing == nil {
		c.failing = map[string]string{}
	}
	c.failing[image] = how
}

// verb sets an annotation that asks for something of the update revision, or of another one.
func (c *Cluster) verb(annotation string) {
	c.onSet(func(set client.Object) {
		own, ok := set.(*v1alpha1.DaemonSet)
		if !ok || own.Status.Rollout == nil {
			return
		}
		revision := pick(c, []string{own.Status.Rollout.UpdateRevision, own.Status.Rollout.UpdateRevision, own.Status.Rollout.CurrentRevision})
		value := pick(c, []string{revision, revision + "/1", revision + "/2", revision + "/3"})
		c.mark(history.Edited, fmt.Sprintf("a user annotates DaemonSet %s: %s: %s", set.GetName(), annotation, value))
		c.api.Change(set, func(object client.Object) {
			annotations := map[string]string{}
			maps.Copy(annotations, object.GetAnnotations())
			annotations[annotation] = value
			object.SetAnnotations(annotations)
		})
	})
}

// breaks executes the next step of a pod whose image fails. It returns false for any other.
func (c *Cluster) breaks(pod *corev1.Pod) bool {
	how := c.failing[pod.Spec.Containers[0].Image]
	if how == "" || isReady(pod) {
		return false
	}
	c.api.Change(pod, func(object client.Object) {
		status := &object.(*corev1.Pod).Status
		if len(status.ContainerStatuses) == 0 {
			status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c"}}
		}
		container := slices.Clone(status.ContainerStatuses)
		switch how {
		case "crashes":
			container[0].RestartCount++
			container[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			container[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(c.clock.Now())}
		case "ErrImagePull: not found":
			container[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"}}
		default:
			container[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: how}}
		}
		status.ContainerStatuses = container
	})
	return true
}

// started is the status of a pod whose containers run.
func started(status *corev1.PodStatus) {
	containers := slices.Clone(status.ContainerStatuses)
	for i := range containers {
		containers[i].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	}
	status.ContainerStatuses = containers
}
