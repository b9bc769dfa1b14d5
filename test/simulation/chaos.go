package simulation

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// An act is something that users, nodes, other programs or faults do to the cluster. It does nothing if it is not possible.
type act struct {
	name   string
	weight int
	do     func(*Cluster)
}

// acts are what a random run draws from. Each run has only some of them, so that some runs have much of one thing.
var acts = []act{
	{"template edits", 6, func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setImage(set, fmt.Sprintf("image:%d", 1+c.random.IntN(3))) })
	}},
	{"edits of the limits", 3, func(c *Cluster) {
		c.onSet(func(set client.Object) { c.setLimits(set, pick(c, strategies)) })
	}},
	{"edits of minReadySeconds", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			seconds := pick(c, []int32{0, 5, 30})
			c.edit(set, fmt.Sprintf("minReadySeconds %d", seconds), func(spec *v1alpha1.DaemonSetSpec) { spec.MinReadySeconds = seconds })
		})
	}},
	{"edits of the history limit", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			limit := pick(c, []int32{0, 1, 10})
			c.edit(set, fmt.Sprintf("revisionHistoryLimit %d", limit), func(spec *v1alpha1.DaemonSetSpec) { spec.RevisionHistoryLimit = &limit })
		})
	}},
	{"edits of the node selector", 2, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			selector := pick(c, []map[string]string{nil, {"pool": "0"}, {"pool": "1"}})
			c.edit(set, fmt.Sprintf("nodeSelector %v", selector), func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.NodeSelector = selector })
		})
	}},
	{"edits of the tolerations", 2, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			tolerations := pick(c, [][]corev1.Toleration{nil, {{Key: dedicated, Operator: corev1.TolerationOpExists}}})
			c.edit(set, fmt.Sprintf("%d tolerations", len(tolerations)), func(spec *v1alpha1.DaemonSetSpec) { spec.Template.Spec.Tolerations = tolerations })
		})
	}},
	{"DaemonSets that are recreated", 1, func(c *Cluster) {
		c.onSet(func(set client.Object) {
			c.deleteSet(set, pick(c, []memory.Propagation{memory.Background, memory.Foreground, memory.Orphan}))
		})
	}},
	{"DaemonSets that come back", 3, (*Cluster).restoreSets},
	{"deletions of pods", 3, func(c *Cluster) { c.onPod(c.deletePod) }},
	{"labels of pods", 2, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			if pod.Labels["app"] == "other" {
				c.setLabel(pod, "app", pod.Annotations[appAnnotation])
				return
			}
			c.api.Change(pod, func(object client.Object) {
				metav1.SetMetaDataAnnotation(&object.(*corev1.Pod).ObjectMeta, appAnnotation, pod.Labels["app"])
			})
			c.setLabel(pod, "app", "other")
		})
	}},
	{"nodes that join", 2, (*Cluster).addNode},
	{"nodes that leave", 2, func(c *Cluster) {
		if nodes := c.api.List(history.Nodes); len(nodes) > 2 {
			c.removeNode(pick(c, nodes))
		}
	}},
	{"nodes that are recreated", 2, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) {
			c.removeNode(node)
			c.join(node.Name, c.random.IntN(2))
		})
	}},
	{"taints", 3, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) {
			c.setTaint(node, dedicated, pick(c, []corev1.TaintEffect{"", "", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}))
		})
	}},
	{"labels of nodes", 3, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) { c.setLabel(node, "pool", fmt.Sprint(c.random.IntN(2))) })
	}},
	{"nodes that are not ready", 3, func(c *Cluster) {
		c.onNode(func(node *corev1.Node) {
			if notReady(node) {
				c.setTaint(node, corev1.TaintNodeNotReady, "")
				return
			}
			c.setTaint(node, corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
			for _, pod := range c.pods() {
				if pod.Spec.NodeName == node.Name && isReady(pod) {
					c.setReady(pod, corev1.ConditionFalse)
				}
			}
		})
	}},
	{"changes of the RuntimeClass", 2, func(c *Cluster) {
		if c.chance(50) {
			c.openClass()
		} else {
			c.setClass(&nodev1.Scheduling{NodeSelector: map[string]string{"pool": "0"}})
		}
	}},
	{"pods that fail", 4, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			if pod.Spec.NodeName != "" && !finished(pod) {
				c.fail(pod, pick(c, []string{"OutOfcpu", "Evicted", "Error"}))
			}
		})
	}},
	{"pods that are not ready", 3, func(c *Cluster) {
		c.onPod(func(pod *corev1.Pod) {
			if isReady(pod) {
				c.note("pod %s is not ready", pod.Name)
				c.setReady(pod, corev1.ConditionFalse)
			}
		})
	}},
	{"quotas", 2, (*Cluster).changeQuota},
	{"names that are taken", 2, (*Cluster).squat},
}

// dedicated is the key of taints that users set.
const dedicated = "dedicated"

// appAnnotation remembers the label of a pod that lost it.
const appAnnotation = "simulation/app"

var strategies = []limits{{1, 0}, {2, 0}, {0, 1}, {0, 2}, {}}

func (c *Cluster) onSet(do func(client.Object)) {
	if sets := c.sets(); len(sets) > 0 {
		do(pick(c, sets))
	}
}

func (c *Cluster) onPod(do func(*corev1.Pod)) {
	if pods := c.pods(); len(pods) > 0 {
		do(pick(c, pods))
	}
}

func (c *Cluster) onNode(do func(*corev1.Node)) {
	if nodes := listed[*corev1.Node](c, history.Nodes); len(nodes) > 0 {
		do(pick(c, nodes))
	}
}

// restoreSets creates the DaemonSets that are missing, with names that existed before.
func (c *Cluster) restoreSets() {
	for _, set := range c.wanted {
		if c.api.Get(set.resource, namespace, set.name) == nil {
			c.addDaemon(set.name, set.resource == history.NativeDaemonSets, set.limits, set.change)
		}
	}
}

// className is the RuntimeClass that templates name.
const className = "class"

// setClass sets what the RuntimeClass requires of nodes.
func (c *Cluster) setClass(scheduling *nodev1.Scheduling) {
	c.note("the RuntimeClass excludes some nodes: %v", scheduling != nil)
	if stored := c.api.Get(history.RuntimeClasses, "", className); stored != nil {
		c.api.Change(stored, func(object client.Object) { object.(*nodev1.RuntimeClass).Scheduling = scheduling })
		return
	}
	c.create(&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: className}, Handler: "runc", Scheduling: scheduling})
}

func (c *Cluster) openClass() { c.setClass(nil) }

// changeQuota creates a quota, or changes or removes the one that exists.
func (c *Cluster) changeQuota() {
	const name = "quota"
	if stored := c.api.Get(memory.ResourceQuotas, namespace, name); stored != nil && c.chance(40) {
		c.dropQuotas()
		return
	}
	hard := corev1.ResourceList{corev1.ResourcePods: quantity(c.random.IntN(12)), "count/controllerrevisions.apps": quantity(1 + c.random.IntN(5))}
	pods, records := hard.Pods().Value(), hard["count/controllerrevisions.apps"]
	c.note("a quota permits %d pods and %d ControllerRevisions", pods, records.Value())
	if stored := c.api.Get(memory.ResourceQuotas, namespace, name); stored != nil {
		c.api.Change(stored, func(object client.Object) { object.(*corev1.ResourceQuota).Spec.Hard = hard })
	} else {
		c.create(&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: hard}})
	}
	c.api.SyncQuotas()
}

func (c *Cluster) dropQuotas() {
	for _, quota := range c.api.List(memory.ResourceQuotas) {
		c.note("quota %s is deleted", quota.GetName())
		c.api.Delete(quota, memory.Background)
	}
}

// foreignLabel marks pods of other programs.
const foreignLabel = "simulation/foreign"

// squat takes the name of a pod that a controller is about to create.
func (c *Cluster) squat() {
	for _, of := range c.controllers {
		if of.process == nil {
			continue
		}
		for _, t := range of.process.tasks {
			if t.at != beforeRequest || t.request == nil || t.request.Verb != "create" || t.request.Resource != string(history.Pods) || t.request.DryRun {
				continue
			}
			name := t.request.Name
			if c.api.Get(history.Pods, namespace, name) == nil {
				c.note("another program takes the name of pod %s", name)
				_, _ = c.api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{foreignLabel: "true"}}}) // a quota may refuse it
			}
			return
		}
	}
}

// A fault is something that goes wrong between the programs.
var faults = []act{
	{"crashes", 2, func(c *Cluster) {
		of := pick(c, c.controllers)
		of.kill()
		if c.chance(70) {
			of.start(c.recently())
		}
	}},
	{"starts", 4, func(c *Cluster) {
		for _, of := range c.controllers {
			if of.process == nil {
				of.start(c.recently())
			}
		}
	}},
	{"stops", 2, func(c *Cluster) {
		of := pick(c, c.controllers)
		of.stopped = !of.stopped
		c.note("controller %s is stopped by a signal: %v", of.name, of.stopped)
		if of.stopped {
			c.clock.Advance(time.Duration(c.random.IntN(60)) * time.Second)
		}
	}},
	{"frozen watches", 4, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			i.frozen = !i.frozen
			c.note("the watch of %s by %s is frozen: %v", string(i.resource), i.process.controller.name, i.frozen)
		})
	}},
	{"watches that restart as lists", 3, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			c.note("the watch of %s by %s ends, and a list follows", string(i.resource), i.process.controller.name)
			i.relist(c.api.Revision())
		})
	}},
	{"coalesced events", 3, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			if pending := i.cursor.Pending(); pending > 1 {
				i.coalesce(1 + c.random.IntN(pending))
			}
		})
	}},
	{"duplicated events", 3, func(c *Cluster) {
		c.onInformer(func(i *informer) {
			if keys := i.keys(); len(keys) > 0 {
				i.resync(pick(c, keys))
			}
		})
	}},
	{"schedulers that see late", 2, func(c *Cluster) {
		of := pick(c, c.schedulers)
		of.frozen = !of.frozen
		c.note("the watches of a scheduler are frozen: %v", of.frozen)
	}},
	{"a webhook that is down", 2, func(c *Cluster) {
		c.webhook = !c.webhook
		c.note("the webhook answers: %v", c.webhook)
	}},
}

// onInformer does something to an informer that has listed, of a process that has begun.
func (c *Cluster) onInformer(do func(*informer)) {
	p := pick(c, c.controllers).process
	if p == nil || !p.begun {
		return
	}
	if i := pick(c, p.informers); i.cursor != nil {
		do(i)
	}
}

// recently returns a revision of the last changes: an API server may answer a list from a watch cache that is late.
func (c *Cluster) recently() int64 {
	if !c.stale || c.chance(60) {
		return c.api.Revision()
	}
	return max(0, c.api.Revision()-int64(c.random.IntN(40)))
}

// lossy returns outcomes of requests, of which some are not served.
func lossy(of []Outcome) func(*process, *history.Request) Outcome {
	return func(p *process, request *history.Request) Outcome {
		c := p.cluster
		if !c.chance(8) {
			return Served
		}
		outcome := pick(c, of)
		if outcome == Conflict && (request.Verb == "get" || request.Verb == "create" || request.ResourceVersion == "") {
			return Served // the API server gives this answer to a request with a precondition
		}
		return outcome
	}
}

// some returns a random part of acts, each with its weight.
func some(c *Cluster, from []act) []act {
	var chosen []act
	for _, one := range from {
		if c.chance(60) {
			chosen = append(chosen, slices.Repeat([]act{one}, one.weight)...)
		}
	}
	return chosen
}
