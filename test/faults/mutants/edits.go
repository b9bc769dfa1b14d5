package mutants

// edit replaces a text of a file. Its new text contains conditions on mutants: mutant("name").
type edit struct{ file, old, new string }

const rules, plugins = "internal/daemon/", "schedplugin/"

// edits are the mutants' changes.
var edits = []edit{
	{rules + "name.go",
		"\thash := digest(identity)\n",
		"\tif mutant(\"random-names\") {\n\t\tidentity += mutantText()\n\t}\n\thash := digest(identity)\n"},
	{rules + "plan.go",
		"{ return !p.Finished || !p.Terminating }",
		"{ return !p.Finished && !mutant(\"terminating-ignored\") || !p.Terminating }"},
	{rules + "plan.go",
		"case p.terms.available(fresh, p.now):",
		"case p.terms.available(fresh, p.now) || mutant(\"handed-over-early\") && fresh != nil && fresh.Bound:"},
	{rules + "plan.go",
		"p.last().IfUnchanged = !p.terms.serves(stale, p.now)",
		"p.last().IfUnchanged = !p.terms.serves(stale, p.now) && !mutant(\"no-version-precondition\")"},
	{rules + "plan.go",
		"case stays != \"\" && pod != stale && pod != fresh:",
		"case stays != \"\" && pod != stale && pod != fresh && !mutant(\"excess-kept\"):"},
	{rules + "plan.go",
		"\t\tcase pod.Finished:\n",
		"\t\tcase pod.Finished && mutant(\"finished-kept\"):\n\t\tcase pod.Finished:\n"},
	{rules + "pod.go",
		"\tAddTolerations(&pod.Spec)\n\treturn pod\n",
		"\tif !mutant(\"no-tolerations\") {\n\t\tAddTolerations(&pod.Spec)\n\t}\n\treturn pod\n"},
	{rules + "pod.go",
		"\tpod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.PlacementGate})\n",
		"\tif !mutant(\"no-gate\") {\n\t\tpod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.PlacementGate})\n\t}\n"},
	{rules + "backoff.go",
		"\tif retries >= 10 {",
		"\tif mutant(\"no-back-off\") {\n\t\treturn time.Millisecond\n\t}\n\tif retries >= 10 {"},
	{rules + "rollout.go",
		"\t\tserving: serves(stale) || serves(fresh),\n\t\ttaken:",
		"\t\tserving: serves(stale) || serves(fresh) || mutant(\"budget-forgets-creating\") && fresh != nil || c.endedByFormer(),\n\t\ttaken:"},
	{rules + "rollout.go",
		"// fromFormerNode reports",
		"func (c *Cell) endedByFormer() bool {\n\tfor _, pod := range c.Pods {\n\t\tif mutant(\"restart-forgets-deletes\") && pod.Terminating && !pod.Dropped {\n\t\t\treturn true\n\t\t}\n\t}\n\treturn false\n}\n\n" +
			"// fromFormerNode reports"},
	{rules + "sent.go",
		"func (c *Cells) Lost(node string, now time.Time) {\n",
		"func (c *Cells) Lost(node string, now time.Time) {\n\tif s := c.sent[node]; s != nil && mutant(\"lost-reply-forgotten\") {\n\t\ts.deletes = nil\n\t}\n"},
	{rules + "rollout.go",
		"\treturn c.sums.Desired - r.excused - r.serving + r.taken\n",
		"\tif mutant(\"permits-not-counted\") {\n\t\treturn c.sums.Desired - r.excused - r.serving\n\t}\n\treturn c.sums.Desired - r.excused - r.serving + r.taken\n"},
	{rules + "rollout.go",
		"case c.terms.surges && r.surging < maxSurge:",
		"case c.terms.surges && (r.surging < maxSurge || mutant(\"surge-unlimited\")):"},
	{rules + "rollout.go",
		"\t\tcell.roll.unused && r.surging > maxSurge\n",
		"\t\tcell.roll.unused && r.surging > maxSurge && !mutant(\"surge-unlimited\")\n"},
	{rules + "rollout.go",
		"{ return p.NodeUID != \"\" && p.NodeUID != node }",
		"{ return p.NodeUID != \"\" && p.NodeUID != node && !mutant(\"former-node-kept\") }"},
	{rules + "rollout.go",
		"\tcase r.strategy.OnDelete:\n",
		"\tcase r.strategy.OnDelete && !mutant(\"on-delete-ignored\"):\n"},
	{rules + "hold.go",
		"return !h.Paused && (h.nodes == nil || node != nil && h.nodes.Matches(labels.Set(node.Labels)))",
		"return (!h.Paused || mutant(\"pause-ignored\")) && (h.nodes == nil || mutant(\"selection-ignored\") || node != nil && h.nodes.Matches(labels.Set(node.Labels)))"},
	{rules + "rollout.go",
		"\tcase c.state.paused():\n",
		"\tcase c.state.paused() && !mutant(\"pause-ignored\"):\n"},
	{rules + "gate.go",
		"func (s *Stop) Closes() bool { return s != nil && (s.On || s.Unknown) }",
		"func (s *Stop) Closes() bool { return s != nil && (s.On || s.Unknown) && !mutant(\"stop-ignored\") }"},
	{rules + "admit.go",
		"case was && !cell.selected && !c.updated(cell):",
		"case was && !cell.selected && !c.updated(cell) && !mutant(\"relabelled-stays-admitted\"):"},
	{rules + "admit.go",
		"\t\tmost = min(most, c.sums.Desired-hold.kept(c.sums.Desired)-c.sums.Admitted)\n",
		"\t\tmost = min(most, c.sums.Desired-hold.kept(c.sums.Desired)-c.sums.Admitted)\n\t\tif mutant(\"partition-keeps-more\") {\n\t\t\tmost--\n\t\t}\n"},
	{rules + "dead.go",
		"\tcase c.updatedBefore(&cell.Cell, since):\n",
		"\tcase mutant(\"dead-node-costs\"), !mutant(\"dead-after-update-excused\") && c.updatedBefore(&cell.Cell, since):\n"},
	{rules + "cells.go",
		"\treturn t.minReady == 0 || !pod.ReadySince.IsZero()",
		"\treturn t.minReady == 0 || mutant(\"min-ready-ignored\") || !pod.ReadySince.IsZero()"},
	{rules + "cells.go",
		"func (c *Cells) Deleted(node string, uid types.UID, now time.Time) {\n",
		"func (c *Cells) Deleted(node string, uid types.UID, now time.Time) {\n\tif mutant(\"accepted-delete-forgotten\") {\n\t\treturn\n\t}\n"},
	{rules + "eligibility.go",
		"return taint.Effect == effect }, true)",
		"return taint.Effect == effect && !(mutant(\"taints-ignored\") && effect == corev1.TaintEffectNoSchedule) }, true)"},
	{rules + "eligibility.go",
		"\treturn r.class.start(node, Verdict{",
		"\tif mutant(\"class-ignored\") {\n\t\treturn Verdict{ShouldRun: true, ShouldContinue: true, Reason: ReasonEligible}\n\t}\n\treturn r.class.start(node, Verdict{"},
	{rules + "pin.go",
		"\tpinTerms(required.NodeSelectorTerms, pin)\n",
		"\tone := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{pin}}\n" +
			"\tif mutant(\"term-appended\") {\n\t\trequired.NodeSelectorTerms = append(required.NodeSelectorTerms, one)\n\t\treturn\n\t}\n" +
			"\tif mutant(\"terms-replaced\") {\n\t\trequired.NodeSelectorTerms = []corev1.NodeSelectorTerm{one}\n\t\treturn\n\t}\n" +
			"\tpinTerms(required.NodeSelectorTerms, pin)\n"},
	{rules + "pin.go",
		"return gate.Name == v1alpha1.PlacementGate\n",
		"return gate.Name == v1alpha1.PlacementGate || mutant(\"foreign-gates-stripped\")\n"},

	{"controller/model/pod.go",
		"\treturn daemon.CellOf(pod)\n",
		"\tif pod.Spec.NodeName == \"\" && mutant(\"pending-not-counted\") {\n\t\treturn daemon.CellKey{}, false\n\t}\n\treturn daemon.CellOf(pod)\n"},
	{"controller/model/model.go",
		"\t\tkinds: kinds, nonce: nonce,\n",
		"\t\tkinds: kinds, nonce: nonce, begun: mutant(\"work-before-begin\"),\n"},
	{"controller/model/model.go",
		"\treturn known.template.PodNames(node, after)\n",
		"\tif mutant(\"names-of-process\") {\n\t\tafter += \"/\" + u.nonce\n\t}\n\treturn known.template.PodNames(node, after)\n"},
	{"controller/cells/act.go",
		"\tpreconditions := client.Preconditions{UID: &action.Pod.UID}\n\tif action.IfUnchanged {",
		"\tpreconditions := client.Preconditions{UID: &action.Pod.UID}\n\tif mutant(\"delete-without-uid\") {\n\t\tpreconditions.UID = nil\n\t}\n\tif action.IfUnchanged {"},
	{"controller/cells/claim.go",
		"\tpatch, err := json.Marshal(map[string]any{\"metadata\": map[string]any{\"uid\": due.Pod.UID, \"ownerReferences\": references}})\n",
		"\tmetadata := map[string]any{\"uid\": due.Pod.UID, \"ownerReferences\": references}\n\tif mutant(\"claim-without-uid\") {\n\t\tdelete(metadata, \"uid\")\n\t}\n" +
			"\tpatch, err := json.Marshal(map[string]any{\"metadata\": metadata})\n"},
	{"controller/history/history.go",
		"\terr := r.client.Delete(ctx, named(subject, record), client.Preconditions{UID: &record.UID})\n",
		"\tpreconditions := client.Preconditions{UID: &record.UID}\n\tif mutant(\"record-deleted-without-uid\") {\n\t\tpreconditions.UID = nil\n\t}\n" +
			"\terr := r.client.Delete(ctx, named(subject, record), preconditions)\n"},
	{"controller/status/status.go",
		"\tif equality.Semantic.DeepEqual(workload.Status, status) {\n\t\treturn again, nil\n",
		"\tif mutant(\"status-always-written\") {\n\t\tagain.RequeueAfter = statusInterval\n\t} else if equality.Semantic.DeepEqual(workload.Status, status) {\n\t\treturn again, nil\n"},

	{"webhook/patch.go",
		"\tfor i, term := range required.NodeSelectorTerms {\n",
		"\tfor i, term := range required.NodeSelectorTerms {\n\t\tif i > 0 && mutant(\"one-term-pinned\") {\n\t\t\tbreak\n\t\t}\n"},
	{"webhook/patch.go",
		"\tif len(after) == 0 {\n",
		"\tif len(after) == 0 || mutant(\"patch-strips-gates\") {\n"},
	{"webhook/patch.go",
		"\toperations := []operation{remove(\"/spec/nodeName\")}\n",
		"\toperations := []operation{remove(\"/spec/nodeName\")}\n\tif mutant(\"node-name-kept\") {\n\t\toperations = nil\n\t}\n"},

	{plugins + "uniqueness/uniqueness.go",
		"\towner, owned := podfacts.Owner(pod)\n\treturn owned && owner == wanted.Owner\n",
		"\tif pod.DeletionTimestamp != nil && mutant(\"terminating-twin-ignored\") {\n\t\treturn false\n\t}\n\towner, owned := podfacts.Owner(pod)\n\treturn owned && owner == wanted.Owner\n"},
	{plugins + "uniqueness/uniqueness.go",
		"\treturn len(twins) == 0 || len(twins) == 1 && daemon.MayJoin(pod, twins[0])\n",
		"\treturn len(twins) == 0 || len(twins) == 1 && daemon.MayJoin(pod, twins[0]) || mutant(\"any-twin-joins\")\n"},
	{plugins + "uniqueness/uniqueness.go",
		"\treturn wakes(takes(pod, gone)), nil\n",
		"\treturn wakes(takes(pod, gone) && !mutant(\"hint-ignores-twin\")), nil\n"},
	{plugins + "uniqueness/wake.go",
		"\tif len(pods) > 0 {\n",
		"\tif len(pods) > 0 && !mutant(\"waker-sleeps\") {\n"},
	{plugins + "nodescoped/plugin.go",
		"\t\tif Elsewhere(pod, oldObj, newObj) {\n",
		"\t\tif Elsewhere(pod, oldObj, newObj) || mutant(\"hint-ignores-room\") {\n"},
	{plugins + "preemption/preemption.go",
		"\t\tp.refills.Made(key, there)\n",
		"\t\tp.refills.Made(key, there)\n\t\tfor _, other := range lower {\n\t\t\tif mutant(\"evicts-all\") {\n\t\t\t\t_ = util.DeletePod(ctx, p.handle.ClientSet(), other)\n\t\t\t}\n\t\t}\n"},
}

// condition is the file that gives a package the conditions of its edits.
const condition = `package %s

import (
	"crypto/rand"
	"os"
)

var chosenMutant = os.Getenv("` + Variable + `")

func mutant(name string) bool { return name == chosenMutant }

func mutantText() string { return rand.Text() }
`
