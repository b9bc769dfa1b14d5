package schedplugin

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/schedtest"
	"github.com/everynode/everynode/schedplugin/nodescoped"
	"github.com/everynode/everynode/schedplugin/podaffinity"
	"github.com/everynode/everynode/schedplugin/preemption"
	"github.com/everynode/everynode/schedplugin/uniqueness"
)

func TestShippedProfile(t *testing.T) {
	ctx := schedtest.Quiet(t)
	loaded := load(t, shipped(t))
	sched, _, err := newScheduler(ctx, loaded, nil, nil)
	if err != nil {
		t.Fatalf("building the scheduler: %v", err)
	}
	if len(sched.Profiles) != 1 || sched.Profiles[v1alpha1.SchedulerName] == nil {
		t.Fatalf("profiles %v, want only %s: a secondary scheduler leaves other pods to default-scheduler", sched.Profiles, v1alpha1.SchedulerName)
	}
	plugins := sched.Profiles[v1alpha1.SchedulerName].ListPlugins()
	enabled := func(set config.PluginSet) (enabled []string) {
		for _, plugin := range set.Enabled {
			enabled = append(enabled, plugin.Name)
		}
		return enabled
	}

	if preFilter := enabled(plugins.PreFilter); !slices.Contains(preFilter, uniqueness.Name) {
		t.Errorf("PreFilter is %v, want %s in it", preFilter, uniqueness.Name)
	}
	// First, so that a pod that waits for its twin gets that message, whatever other reasons there are.
	if filter := enabled(plugins.Filter); len(filter) == 0 || filter[0] != uniqueness.Name {
		t.Errorf("Filter is %v, want %s first", filter, uniqueness.Name)
	}
	// With upstream's reason: it is better to free an idle claim than to evict a pod.
	if diff := cmp.Diff([]string{names.DynamicResources, preemption.Name}, enabled(plugins.PostFilter)); diff != "" {
		t.Errorf("PostFilter (-want, +got):\n%s", diff)
	}
	if preScore, score := enabled(plugins.PreScore), enabled(plugins.Score); preScore != nil || score != nil {
		t.Errorf("PreScore %v and Score %v, want neither: there is one node", preScore, score)
	}

	// Against the default profile the manifest drops NodeName (served pods have none) and topology
	// spread; a filter that a later Kubernetes adds needs a decision here.
	byDefault, _, err := newScheduler(ctx, load(t, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defaults := byDefault.Profiles[corev1.DefaultSchedulerName].ListPlugins()
	standIn := map[string]string{
		names.DefaultPreemption:    preemption.Name,
		names.InterPodAffinity:     podaffinity.Name,
		names.NodeDeclaredFeatures: nodescoped.NodeDeclaredFeatures,
		names.NodePorts:            nodescoped.NodePorts,
		names.NodeResourcesFit:     nodescoped.NodeResourcesFit,
		names.NodeUnschedulable:    nodescoped.NodeUnschedulable,
		names.NodeAffinity:         nodescoped.NodeAffinity,
		names.NodeVolumeLimits:     nodescoped.NodeVolumeLimits,
		names.TaintToleration:      nodescoped.TaintToleration,
	}
	wantDropped := []string{names.NodeName, names.PodTopologySpread}
	for point, test := range map[string]struct {
		byDefault, shipped config.PluginSet
		want               []string
	}{
		"PreEnqueue": {defaults.PreEnqueue, plugins.PreEnqueue, nil},
		"PreFilter":  {defaults.PreFilter, plugins.PreFilter, wantDropped},
		"Filter":     {defaults.Filter, plugins.Filter, wantDropped},
		"PostFilter": {defaults.PostFilter, plugins.PostFilter, nil},
		"Reserve":    {defaults.Reserve, plugins.Reserve, nil},
		"Permit":     {defaults.Permit, plugins.Permit, nil},
		"PreBind":    {defaults.PreBind, plugins.PreBind, nil},
		"Bind":       {defaults.Bind, plugins.Bind, nil},
		"PostBind":   {defaults.PostBind, plugins.PostBind, nil},
	} {
		kept := enabled(test.shipped)
		var dropped []string
		for _, name := range enabled(test.byDefault) {
			if !slices.Contains(kept, name) && !slices.Contains(kept, standIn[name]) {
				dropped = append(dropped, name)
			}
		}
		slices.Sort(dropped)
		if diff := cmp.Diff(test.want, dropped); diff != "" {
			t.Errorf("%s plugins of the default profile that are dropped (-want, +got):\n%s", point, diff)
		}
	}
}

// The primary install has two profiles: kube-scheduler's own, to which the plugin is added, and that
// of the secondary scheduler, unchanged.
func TestPrimaryProfiles(t *testing.T) {
	ctx := schedtest.Quiet(t)
	loaded := load(t, primary(t))
	if diff := cmp.Diff(load(t, shipped(t)).Profiles[0], loaded.Profiles[1]); diff != "" {
		t.Errorf("the daemons' profile differs from the secondary scheduler's (-secondary, +primary):\n%s", diff)
	}
	sched, _, err := newScheduler(ctx, batching(loaded), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	stock, _, err := newScheduler(ctx, batching(load(t, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration")), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := sched.Profiles[corev1.DefaultSchedulerName], stock.Profiles[corev1.DefaultSchedulerName]
	want := theirs.ListPlugins()
	added := config.Plugin{Name: uniqueness.Name}
	want.PreFilter.Enabled = append(want.PreFilter.Enabled, added)
	want.Filter.Enabled = append(want.Filter.Enabled, added)
	want.Reserve.Enabled = append(want.Reserve.Enabled, added)
	if diff := cmp.Diff(want, ours.ListPlugins(), cmpopts.SortSlices(func(a, b config.Plugin) bool { return a.Name < b.Name })); diff != "" {
		t.Errorf("plugins of default-scheduler (-as shipped by Kubernetes, +ours):\n%s", diff)
	}
	// Batching (KEP-5598) stays: pods of which no daemon's are the same still have one signature.
	plain := st.MakePod().Namespace("ns").Name("p").Obj()
	if signature := ours.SignPod(ctx, plain); signature == nil || !slices.Equal(signature, theirs.SignPod(ctx, plain)) {
		t.Errorf("a pod's signature is %q, want %q", signature, theirs.SignPod(ctx, plain))
	}
}

// batching removes the default spread constraints, which keep Kubernetes itself from signing any pod.
func batching(loaded *config.KubeSchedulerConfiguration) *config.KubeSchedulerConfiguration {
	for _, entry := range loaded.Profiles[0].PluginConfig {
		if args, ok := entry.Args.(*config.PodTopologySpreadArgs); ok {
			args.DefaultingType = config.ListDefaulting
		}
	}
	return loaded
}

// A misspelt name in the manifest is an error.
func TestMisspeltProfileIsRefused(t *testing.T) {
	for _, name := range []string{uniqueness.Name, preemption.Name, names.VolumeBinding} {
		t.Run(name, func(t *testing.T) {
			ctx := schedtest.Quiet(t)
			misspelt := strings.Replace(shipped(t), "{name: "+name+"}", "{name: "+name+"s}", 1)
			if _, _, err := newScheduler(ctx, load(t, misspelt), nil, nil); err == nil || !strings.Contains(err.Error(), name+"s") {
				t.Errorf("building the scheduler: %v, want an error that names %ss", err, name)
			}
		})
	}
	if _, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(strings.Replace(shipped(t), "multiPoint:", "multipoint:", 1)), nil, nil); err == nil {
		t.Error("an unknown field is accepted, want an error")
	}
}
