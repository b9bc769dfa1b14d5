package nodescoped

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/internal/schedtest"
)

func TestFitReasons(t *testing.T) {
	type list = map[corev1.ResourceName]string
	const gpu, fpga, licence corev1.ResourceName = "example.com/gpu", "example.com/fpga", "licences.io/seat"
	capacity := list{"cpu": "2", "memory": "4Gi", "ephemeral-storage": "100Gi", "pods": "3", gpu: "1", "hugepages-2Mi": "64Mi"}
	ignore := &runtime.Unknown{Raw: []byte(`{"ignoredResources": ["example.com/fpga"], "ignoredResourceGroups": ["licences.io"]}`)}

	tests := map[string]struct {
		pod  *st.PodWrapper
		on   []list // requests of the node's pods
		args runtime.Object
		want *fwk.Status
	}{
		"room": {pod: pinned("n1").Req(list{"cpu": "2", "memory": "4Gi"})},
		"insufficient memory": {
			pod: pinned("n1").Req(list{"memory": "512Mi"}), on: []list{{"memory": "3896Mi"}},
			want: fwk.NewStatus(fwk.Unschedulable, "insufficient memory: needs 512Mi, 200Mi free"),
		},
		"more than the node has": {
			pod: pinned("n1").Req(list{"memory": "64Gi"}), on: []list{{"memory": "1Gi"}},
			want: fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "insufficient memory: needs 64Gi, the node has 4Gi"),
		},
		"overcommitted node": {
			pod: pinned("n1").Req(list{"cpu": "100m"}), on: []list{{"cpu": "3"}},
			want: fwk.NewStatus(fwk.Unschedulable, "insufficient cpu: needs 100m, 0m free"),
		},
		"too many pods": {
			pod: pinned("n1"), on: []list{{}, {}, {}},
			want: fwk.NewStatus(fwk.Unschedulable, "too many pods: 3 of 3"),
		},
		"everything is insufficient, in order": {
			pod: pinned("n1").Req(list{gpu: "1", fpga: "3", "hugepages-2Mi": "2Mi", "ephemeral-storage": "1Gi", "memory": "1Gi", "cpu": "500m"}),
			on:  []list{{}, {gpu: "1", "hugepages-2Mi": "64Mi"}, {"cpu": "1600m", "memory": "4000Mi", "ephemeral-storage": "99.5Gi"}},
			want: fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
				"too many pods: 3 of 3",
				"insufficient cpu: needs 500m, 400m free",
				"insufficient memory: needs 1024Mi, 96Mi free",
				"insufficient ephemeral-storage: needs 1024Mi, 512Mi free",
				"insufficient example.com/fpga: needs 3, the node has 0",
				"insufficient example.com/gpu: needs 1, 0 free",
				"insufficient hugepages-2Mi: needs 2Mi, 0Mi free"),
		},
		"an ignored resource": {pod: pinned("n1").Req(list{fpga: "1", licence: "1"}), args: ignore},
		"an ignored resource, and another one": {
			pod: pinned("n1").Req(list{fpga: "1", licence: "1", gpu: "2"}), args: ignore,
			want: fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "insufficient example.com/gpu: needs 2, the node has 1"),
		},
		"not pinned: upstream's message": {
			pod:  pinned("n1", "n2").Req(list{"memory": "64Gi"}),
			want: fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "Insufficient memory"),
		},
	}
	c := newCluster(t, nil, nil, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var pods []*corev1.Pod
			for _, requests := range test.on {
				pods = append(pods, st.MakePod().Node("n1").Req(requests).Obj())
			}
			node := nodeInfo(st.MakeNode().Name("n1").Capacity(capacity).Obj(), pods...)
			got := verdict(schedtest.Quiet(t), c.ours(t, NodeResourcesFit, test.args), test.pod.Obj(), node)
			if diff := cmp.Diff(reasons(test.want), reasons(got)); diff != "" || got.Code() != test.want.Code() {
				t.Errorf("%v, want %v; reasons (-want, +got):\n%s", got.Code(), test.want.Code(), diff)
			}
		})
	}
}

func TestFitWithoutPreFilter(t *testing.T) {
	c := newCluster(t, nil, nil, nil)
	if status := c.ours(t, NodeResourcesFit, nil).Filter(schedtest.Quiet(t), emptyState(), pinned("n1").Obj(), nodeInfo(st.MakeNode().Name("n1").Obj())); status.Code() != fwk.Error {
		t.Errorf("Filter = %v, want an error", status)
	}
}

func TestFitArgs(t *testing.T) {
	tests := map[string]struct {
		args      string
		wantError string
	}{
		"none":                {args: `{}`},
		"resources":           {args: `{"ignoredResources": ["example.com/gpu"], "ignoredResourceGroups": ["example.com"]}`},
		"a misspelt argument": {args: `{"ignoredResource": ["example.com/gpu"]}`, wantError: `unknown field "ignoredResource"`},
		"scores":              {args: `{"scoringStrategy": {"type": "LeastAllocated"}}`, wantError: `unknown field "scoringStrategy"`},
		"not a resource name": {args: `{"ignoredResources": ["-"]}`, wantError: "ignoredResources[0]"},
		"an invalid group":    {args: `{"ignoredResourceGroups": ["example.com/gpu"]}`, wantError: "ignoredResourceGroups[0]"},
		"not a list":          {args: `{"ignoredResources": "example.com/gpu"}`, wantError: "ignoredResources"},
	}
	c := newCluster(t, nil, nil, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewFit(schedtest.Quiet(t), &runtime.Unknown{Raw: []byte(test.args)}, c)
			if test.wantError == "" {
				schedtest.Must(t, err)
				return
			}
			for _, part := range []string{"plugin " + NodeResourcesFit, test.wantError, "correct its args under pluginConfig"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want one with %q", err, part)
				}
			}
		})
	}
}

func TestBytesInTheirOwnUnit(t *testing.T) {
	tests := map[string]struct {
		n              int64
		wantUp, wantDn string // wantDn defaults to wantUp
	}{
		"nothing":              {n: 0, wantUp: "0"},
		"bytes":                {n: 1023, wantUp: "1023"},
		"Ki":                   {n: 4 * ki, wantUp: "4Ki"},
		"a little above 1Ki":   {n: 4*ki + 1, wantUp: "5Ki", wantDn: "4Ki"},
		"almost one Mi":        {n: mi - 1, wantUp: "1Mi", wantDn: "1023Ki"},
		"Mi":                   {n: 200 * mi, wantUp: "200Mi"},
		"a little above 1Mi":   {n: 200*mi + 1, wantUp: "201Mi", wantDn: "200Mi"},
		"almost one Gi":        {n: gi - 1, wantUp: "1Gi", wantDn: "1023Mi"},
		"Gi":                   {n: 3 * gi, wantUp: "3Gi"},
		"a fraction of Gi":     {n: 3*gi + 512*mi, wantUp: "3584Mi"},
		"many Gi":              {n: 31*gi + 717*mi, wantUp: "31.8Gi", wantDn: "31.7Gi"},
		"almost many whole Gi": {n: 32*gi - 2*mi, wantUp: "32Gi", wantDn: "31.9Gi"},
		"decimal":              {n: 500_000_000, wantUp: "477Mi", wantDn: "476Mi"},
		"the maximum":          {n: math.MaxInt64, wantUp: "8589934592Gi", wantDn: "8589934591.9Gi"},
		"a decimal suffix: 1G": {n: 1_000_000_000, wantUp: "954Mi", wantDn: "953Mi"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.wantDn == "" {
				test.wantDn = test.wantUp
			}
			if got := show(test.n, unitOf(test.n, up), up); got != test.wantUp {
				t.Errorf("up %s, want %s", got, test.wantUp)
			}
			if got := show(test.n, unitOf(test.n, down), down); got != test.wantDn {
				t.Errorf("down %s, want %s", got, test.wantDn)
			}
		})
	}
}
