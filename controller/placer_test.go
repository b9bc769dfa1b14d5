package controller

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/internal/daemon"
)

// emitted is the pod that the controller emits for daemon d on a node.
func emitted(node string) *corev1.Pod {
	set := makeDaemon("d")
	return daemon.NewPod(&daemon.Template{
		Owner:     *metav1.NewControllerRef(set, v1alpha1.DaemonSetKind),
		Namespace: "ns", Name: "d", Revision: "r", Pod: set.Spec.Template,
	}, makeNode(node), "d-"+node)
}

// flips keeps what a placer said of admission.
type flips struct {
	mu   sync.Mutex
	seen []string
}

func (f *flips) flipped(effective bool, cause string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, fmt.Sprintf("effective=%v because=%v", effective, cause != ""))
}

const (
	flippedOff = "effective=false because=true"
	flippedOn  = "effective=true because=false"
)

func wantStrings(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want, +got):\n%s", what, diff)
	}
}

func TestPlacerCreates(t *testing.T) {
	tests := map[string]struct {
		mode          Placement
		admission     admission
		refuse        error
		wantPlacedBy  string
		wantErr       error // the very error of the API server
		wantHeld      bool  // a *answers.NotEffectiveError
		wantStored    bool
		wantAnnotated string
		wantRequests  []string
		wantFlips     []string
	}{
		"auto, admission rewrites":            {mode: PlacementAuto, wantPlacedBy: "admission", wantStored: true, wantAnnotated: "webhook", wantRequests: []string{"emitted"}},
		"auto, interlock":                     {mode: PlacementAuto, admission: absent, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"auto, our webhook fails":             {mode: PlacementAuto, admission: failing, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"auto, refused for another reason":    {mode: PlacementAuto, refuse: errQuota(), wantErr: errQuota(), wantRequests: []string{"emitted"}},
		"auto, admission breaks":              {mode: PlacementAuto, admission: breaking, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"auto, everything breaks":             {mode: PlacementAuto, refuse: errBroken(), wantErr: errBroken(), wantRequests: []string{"emitted", "pinned"}},
		"admission alone, admission breaks":   {mode: PlacementAdmission, admission: breaking, wantErr: errBroken(), wantRequests: []string{"emitted"}},
		"auto, interlock, then refused":       {mode: PlacementAuto, admission: absent, refuse: errQuota(), wantErr: errQuota(), wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"admission alone, admission rewrites": {mode: PlacementAdmission, wantPlacedBy: "admission", wantStored: true, wantAnnotated: "webhook", wantRequests: []string{"emitted"}},
		"admission alone, interlock":          {mode: PlacementAdmission, admission: absent, wantHeld: true, wantErr: errInterlock(), wantRequests: []string{"emitted"}, wantFlips: []string{flippedOff}},
		"admission alone, our webhook fails":  {mode: PlacementAdmission, admission: failing, wantHeld: true, wantErr: errWebhookFails(), wantRequests: []string{"emitted"}, wantFlips: []string{flippedOff}},
		"admission alone, refused":            {mode: PlacementAdmission, refuse: errQuota(), wantErr: errQuota(), wantRequests: []string{"emitted"}},
		"direct asks nobody":                  {mode: PlacementDirect, admission: rewrites, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"pinned"}},
		"direct, refused":                     {mode: PlacementDirect, refuse: errQuota(), wantErr: errQuota(), wantRequests: []string{"pinned"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, f := newServer(), &flips{}
			s.admission, s.refuse = test.admission, test.refuse
			p := newPlacer(s, test.mode, samplesOf(emitted("n9")), f.flipped)
			pod := emitted("n1")
			placedBy, err := p.create(t.Context(), pod)

			var held *answers.NotEffectiveError
			if errors.As(err, &held) != test.wantHeld {
				t.Errorf("error %v, want held %v", err, test.wantHeld)
			}
			if held != nil {
				err = held.Unwrap()
			}
			if fmt.Sprint(err) != fmt.Sprint(test.wantErr) {
				t.Errorf("error %v, want %v", err, test.wantErr)
			}
			if test.wantErr == nil && placedBy != test.wantPlacedBy {
				t.Errorf("placed by %q, want %q", placedBy, test.wantPlacedBy)
			}
			wantStrings(t, "requests", test.wantRequests, s.requests)
			wantStrings(t, "flips", test.wantFlips, f.seen)

			stored := s.pods(t)
			if !test.wantStored {
				if len(stored) > 0 {
					t.Fatalf("%d pods were stored, want none", len(stored))
				}
				return
			}
			// Whoever places it, the pod is the same but for the note who did (S2).
			want := emitted("n1")
			if _, err := daemon.Rewrite(want, test.wantAnnotated); err != nil {
				t.Fatal(err)
			}
			ignore := cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")
			if diff := cmp.Diff([]corev1.Pod{*want}, stored, ignore, cmpopts.IgnoreTypes(metav1.TypeMeta{})); diff != "" {
				t.Errorf("stored (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(stored[0].Spec, pod.Spec); diff != "" {
				t.Errorf("the caller's pod is not what was stored (-stored, +pod):\n%s", diff)
			}
		})
	}
}

// samplesOf are emitted pods to probe with.
func samplesOf(pods ...*corev1.Pod) func(int) []*corev1.Pod {
	return func(limit int) []*corev1.Pod {
		var samples []*corev1.Pod
		for _, pod := range pods[:min(limit, len(pods))] {
			samples = append(samples, pod.DeepCopy())
		}
		return samples
	}
}

// Once admission is known not to be effective nothing is emitted to it; the probe, by a dry run
// of an emitted pod, finds it again; and each turn is told once.
func TestPlacerFlipsOnceEachWay(t *testing.T) {
	s, f := newServer(), &flips{}
	p := newPlacer(s, PlacementAuto, samplesOf(emitted("n9")), f.flipped)
	create := func(node, wantPlacedBy string, wantRequests ...string) {
		t.Helper()
		s.requests = nil
		placedBy, err := p.create(t.Context(), emitted(node))
		if err != nil || placedBy != wantPlacedBy {
			t.Errorf("placed by %q, %v, want %q", placedBy, err, wantPlacedBy)
		}
		wantStrings(t, "requests", wantRequests, s.requests)
	}
	probe := func(wantRequests ...string) {
		t.Helper()
		s.requests = nil
		stored := len(s.pods(t))
		p.probe(t.Context())
		wantStrings(t, "requests of the probe", wantRequests, s.requests)
		if got := len(s.pods(t)); got != stored {
			t.Errorf("the probe stored %d pods", got-stored)
		}
	}

	probe() // nothing is known to be wrong: nothing to ask
	create("n1", "admission", "emitted")
	probe()
	s.admission = absent
	create("n2", "controller", "emitted", "pinned")
	create("n3", "controller", "pinned")
	wantStrings(t, "flips", []string{flippedOff}, f.seen)
	probe("emitted, dry run")
	s.admission = failing
	probe("emitted, dry run")
	create("n4", "controller", "pinned")
	wantStrings(t, "flips while it stays away", []string{flippedOff}, f.seen)
	s.admission = rewrites
	create("n5", "controller", "pinned")
	probe("emitted, dry run")
	wantStrings(t, "flips when it is back", []string{flippedOff, flippedOn}, f.seen)
	probe()
	create("n6", "admission", "emitted")
	s.admission = failing
	create("n7", "controller", "emitted", "pinned")
	wantStrings(t, "flips when it goes again", []string{flippedOff, flippedOn, flippedOff}, f.seen)
}

// With --placement=admission every pod is still emitted, and the first that is stored tells.
func TestPlacerWebhookModeComesBack(t *testing.T) {
	s, f := newServer(), &flips{}
	p := newPlacer(s, PlacementAdmission, samplesOf(emitted("n9")), f.flipped)
	s.admission = absent
	for range 3 {
		if _, err := p.create(t.Context(), emitted("n1")); err == nil {
			t.Fatal("a pod was made without admission")
		}
	}
	s.admission = rewrites
	if _, err := p.create(t.Context(), emitted("n1")); err != nil {
		t.Fatal(err)
	}
	wantStrings(t, "requests", []string{"emitted", "emitted", "emitted", "emitted"}, s.requests)
	wantStrings(t, "flips", []string{flippedOff, flippedOn}, f.seen)
}

// The name of the sample is taken as soon as the controller has placed it itself.
func TestPlacerProbeTakesATakenNameForAnAnswer(t *testing.T) {
	s, f := newServer(), &flips{}
	p := newPlacer(s, PlacementAuto, samplesOf(emitted("n9")), f.flipped)
	s.admission = absent
	if _, err := p.create(t.Context(), emitted("n1")); err != nil {
		t.Fatal(err)
	}
	s.admission, s.refuse = rewrites, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "pods"}, "p")
	p.probe(t.Context())
	wantStrings(t, "flips", []string{flippedOff, flippedOn}, f.seen)
}

func TestPlacerProbeIsNotFooledByAnError(t *testing.T) {
	s, f := newServer(), &flips{}
	p := newPlacer(s, PlacementAuto, samplesOf(emitted("n9")), f.flipped)
	s.admission = absent
	if _, err := p.create(t.Context(), emitted("n1")); err != nil {
		t.Fatal(err)
	}
	s.admission = rewrites
	for _, refuse := range []error{errors.New("connection refused"), apierrors.NewServiceUnavailable("x"), apierrors.NewTooManyRequests("x", 1)} {
		s.refuse = refuse
		p.probe(t.Context())
	}
	wantStrings(t, "flips", []string{flippedOff}, f.seen)
}

// A pod that is refused for a reason of its own says whether it was rewritten before that, or
// another daemon's pod is asked.
func TestPlacerProbeWithPodsThatAreRefused(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{field.Required(field.NewPath("spec", "containers").Index(0).Child("image"), "")})
	tests := map[string]struct {
		refuse       error
		samples      int
		admission    admission
		wantRequests int
		wantBack     bool
	}{
		"invalid was rewritten before":  {refuse: invalid, samples: 3, wantRequests: 1, wantBack: true},
		"a quota comes after":           {refuse: errQuota(), samples: 3, wantRequests: 1, wantBack: true},
		"a limited resource":            {refuse: forbidden("failed quota: q: must specify limits.cpu for: c"), samples: 3, wantRequests: 1, wantBack: true},
		"Pod Security comes after":      {refuse: forbidden(`violates PodSecurity "restricted:latest": x`), samples: 3, wantRequests: 1, wantBack: true},
		"an account: ask others":        {refuse: forbidden("error looking up service account ns/a: not found"), samples: 3, wantRequests: 3},
		"another webhook: ask others":   {refuse: deniedBy("exceeded quota: q"), samples: 3, wantRequests: 3},
		"a namespace: ask others":       {refuse: errNamespaceTerminating(), samples: 3, wantRequests: 3},
		"no answer: ask others":         {refuse: errors.New("connection refused"), samples: 3, wantRequests: 3},
		"not without end":               {refuse: errNamespaceTerminating(), samples: 100, wantRequests: probeLimit},
		"interlock: no need for others": {refuse: errNamespaceTerminating(), samples: 3, admission: absent, wantRequests: 1},
		"no daemon, nobody to ask":      {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, f := newServer(), &flips{}
			var pods []*corev1.Pod
			for i := range test.samples {
				pods = append(pods, emitted(fmt.Sprintf("n%d", i)))
			}
			p := newPlacer(s, PlacementAuto, samplesOf(pods...), f.flipped)
			p.set(t.Context(), "it was away")
			s.refuse, s.admission = test.refuse, test.admission
			p.probe(t.Context())
			if len(s.requests) != test.wantRequests {
				t.Errorf("%d requests, want %d", len(s.requests), test.wantRequests)
			}
			want := []string{flippedOff}
			if test.wantBack {
				want = append(want, flippedOn)
			}
			wantStrings(t, "flips", want, f.seen)
		})
	}
}

// forbidden is the answer of a plugin of the API server, and deniedBy that of somebody's webhook
// (k8s.io/apiserver pkg/admission/plugin/webhook/errors ToStatusErr).
func forbidden(why string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(why))
}

func deniedBy(why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Code: 403, Reason: metav1.StatusReasonForbidden, Message: `admission webhook "w.example.com" denied the request: pods "p" is forbidden: ` + why,
	}}
}

// What admission leaves alone or refuses is placed here, and says nothing of admission elsewhere.
func TestPlacerOfPodsThatAdmissionDoesNotPlace(t *testing.T) {
	tests := map[string]struct {
		change       func(*corev1.Pod)
		wantRequests []string
		contradicts  bool
	}{
		"our own namespace": {change: func(pod *corev1.Pod) { pod.Namespace = v1alpha1.SystemNamespace }, wantRequests: []string{"pinned"}},
		"a mirror pod": {change: func(pod *corev1.Pod) {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, corev1.MirrorPodAnnotationKey, "hash")
		}, wantRequests: []string{"pinned"}},
		"a pod that contradicts itself": {change: func(pod *corev1.Pod) {
			daemon.Pin(&pod.Spec, "elsewhere")
		}, contradicts: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, f := newServer(), &flips{}
			s.admission = absent
			pod, sample := emitted("n1"), emitted("n2")
			test.change(pod)
			test.change(sample)
			p := newPlacer(s, PlacementAdmission, samplesOf(sample, emitted("n9")), f.flipped)
			placedBy, err := p.create(t.Context(), pod)
			var contradiction *daemon.ContradictoryPinError
			if errors.As(err, &contradiction) != test.contradicts || !test.contradicts && (err != nil || placedBy != placedByController) {
				t.Errorf("placed by %q, %v; want the controller, or the contradiction: %v", placedBy, err, test.contradicts)
			}
			wantStrings(t, "requests", test.wantRequests, s.requests)
			wantStrings(t, "flips", nil, f.seen)

			// The probe asks with another pod.
			p.set(t.Context(), "it was away")
			s.admission, s.requests = rewrites, nil
			p.probe(t.Context())
			wantStrings(t, "requests of the probe", []string{"emitted, dry run"}, s.requests)
			wantStrings(t, "flips", []string{flippedOff, flippedOn}, f.seen)
		})
	}
}

// A webhook of somebody else that is down is not asked around: the pod is created once a try.
func TestPlacerLeavesOthersWebhooksAlone(t *testing.T) {
	s, f := newServer(), &flips{}
	s.refuse = apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.com": connection refused`))
	p := newPlacer(s, PlacementAuto, samplesOf(), f.flipped)
	if _, err := p.create(t.Context(), emitted("n1")); err == nil {
		t.Error("the pod was created")
	}
	wantStrings(t, "requests", []string{"emitted"}, s.requests)
	wantStrings(t, "flips", nil, f.seen)
}

// Many workers meet a dead webhook at once; one says so.
func TestPlacerFlipsOnceForManyWorkers(t *testing.T) {
	s, f := newServer(), &flips{}
	s.admission = failing
	p := newPlacer(s, PlacementAuto, samplesOf(emitted("n9")), f.flipped)
	var workers sync.WaitGroup
	for i := range 20 {
		workers.Go(func() {
			if _, err := p.create(t.Context(), emitted(fmt.Sprintf("n%d", i))); err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		})
	}
	workers.Wait()
	wantStrings(t, "flips", []string{flippedOff}, f.seen)
	if got := len(s.pods(t)); got != 20 {
		t.Errorf("%d pods, want 20", got)
	}
}

func TestPlacerCondition(t *testing.T) {
	tests := map[string]struct {
		mode      Placement
		admission admission
		noPolicy  string
		want      metav1.Condition
		wantParts []string // of the message
		wantNot   string   // in it
	}{
		"auto, effective":            {mode: PlacementAuto, want: metav1.Condition{Status: metav1.ConditionTrue, Reason: "PlacementAdmissionEffective"}, wantParts: []string{"admission pins"}},
		"auto, nobody rewrites":      {mode: PlacementAuto, admission: absent, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"pinned by the controller", "no webhook configuration"}},
		"auto, webhook fails":        {mode: PlacementAuto, admission: failing, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"pinned by the controller", "everynode-webhook does not answer", "connection refused"}},
		"admission alone, effective": {mode: PlacementAdmission, want: metav1.Condition{Status: metav1.ConditionTrue, Reason: "PlacementAdmissionEffective"}, wantParts: []string{"admission pins"}},
		"admission alone, nobody":    {mode: PlacementAdmission, admission: absent, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"no pods are created", "no webhook configuration"}},
		"admission alone, fails":     {mode: PlacementAdmission, admission: failing, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"no pods are created", "connection refused"}},
		"no policy is to be had":     {mode: PlacementAuto, admission: absent, noPolicy: "it is Kubernetes 1.35", want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"no webhook configuration", "it is Kubernetes 1.35"}},
		"nor is one needed":          {mode: PlacementAuto, admission: failing, noPolicy: "it is Kubernetes 1.35", want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"connection refused"}, wantNot: "1.35"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			s.admission = test.admission
			p := newPlacer(s, test.mode, samplesOf(emitted("n9")), (&flips{}).flipped)
			p.noPolicy = test.noPolicy
			_, _ = p.create(t.Context(), emitted("n1"))
			conditions := p.condition()
			if len(conditions) != 1 {
				t.Fatalf("%d conditions, want 1", len(conditions))
			}
			got := conditions[0]
			for _, part := range test.wantParts {
				if !strings.Contains(got.Message, part) {
					t.Errorf("message %q does not say %q", got.Message, part)
				}
			}
			if test.wantNot != "" && strings.Contains(got.Message, test.wantNot) {
				t.Errorf("message %q says %q", got.Message, test.wantNot)
			}
			got.Message, test.want.Type = "", "PlacementAdmission"
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("condition (-want, +got):\n%s", diff)
			}
		})
	}
	if got := newPlacer(newServer(), PlacementDirect, nil, nil).condition(); len(got) > 0 {
		t.Errorf("direct placement asks no admission, and says %v of it", got)
	}
}

// The failure of a webhook is told from others' by its name: all of ours must have it.
func TestWebhooksHaveTheSuffix(t *testing.T) {
	objects, err := deploy.Objects(deploy.Install, "MutatingWebhookConfiguration")
	if err != nil {
		t.Fatal(err)
	}
	var webhooks []admissionv1.MutatingWebhook
	for _, object := range objects {
		var configuration admissionv1.MutatingWebhookConfiguration
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &configuration); err != nil {
			t.Fatal(err)
		}
		webhooks = append(webhooks, configuration.Webhooks...)
	}
	if len(webhooks) == 0 {
		t.Fatal("no webhook in the manifest")
	}
	for _, webhook := range webhooks {
		if !strings.HasSuffix(webhook.Name, answers.WebhookSuffix) {
			t.Errorf("webhook %s: its failure is not known for ours", webhook.Name)
		}
		// The probe is a dry run, which the API server refuses where there may be side effects.
		if webhook.SideEffects == nil || *webhook.SideEffects != admissionv1.SideEffectClassNone {
			t.Errorf("webhook %s cannot be asked by a dry run", webhook.Name)
		}
	}
}

func TestParsePlacement(t *testing.T) {
	tests := map[string]bool{"auto": true, "admission": true, "direct": true, "webhook": false, "policy": false, "": false, "Auto": false}
	for value, want := range tests {
		got, err := ParsePlacement(value)
		if (err == nil) != want || want && string(got) != value {
			t.Errorf("ParsePlacement(%q) = %q, %v, want ok %v", value, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "use auto, admission or direct") {
			t.Errorf("error %q does not say what to use", err)
		}
	}
}

// So it is with policies that place pods.
func TestPoliciesHaveThePrefix(t *testing.T) {
	policies, err := deploy.Objects(deploy.Policy)
	if err != nil || len(policies) == 0 {
		t.Fatalf("no policy in the manifest: %v", err)
	}
	for _, policy := range policies {
		if !strings.HasPrefix(policy.GetName(), answers.PolicyPrefix) {
			t.Errorf("%s %s: its failure is not known for ours", policy.GetKind(), policy.GetName())
		}
	}
}
