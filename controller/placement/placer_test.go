package placement

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
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/internal/daemon"
)

// flips records the changes that a placer reports.
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

func TestPlacerCreates(t *testing.T) {
	tests := map[string]struct {
		mode          Mode
		admission     fixture.Admission
		refuse        error
		wantPlacedBy  string
		wantErr       error // the API server's error itself
		wantHeld      bool  // a *answers.NotEffectiveError
		wantStored    bool
		wantAnnotated string
		wantRequests  []string
		wantFlips     []string
	}{
		"auto, admission rewrites":          {mode: Auto, wantPlacedBy: "admission", wantStored: true, wantAnnotated: "webhook", wantRequests: []string{"emitted"}},
		"auto, interlock":                   {mode: Auto, admission: fixture.Absent, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"auto, our webhook fails":           {mode: Auto, admission: fixture.Failing, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"auto, refused for another reason":  {mode: Auto, refuse: fixture.ErrQuota(), wantErr: fixture.ErrQuota(), wantRequests: []string{"emitted"}},
		"auto, admission's patch fails":     {mode: Auto, admission: fixture.Breaking, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"auto, every create fails":          {mode: Auto, refuse: fixture.ErrBroken(), wantErr: fixture.ErrBroken(), wantRequests: []string{"emitted", "pinned"}},
		"only admission, its patch fails":   {mode: Admission, admission: fixture.Breaking, wantErr: fixture.ErrBroken(), wantRequests: []string{"emitted"}},
		"auto, interlock, then refused":     {mode: Auto, admission: fixture.Absent, refuse: fixture.ErrQuota(), wantErr: fixture.ErrQuota(), wantRequests: []string{"emitted", "pinned"}, wantFlips: []string{flippedOff}},
		"only admission, it rewrites":       {mode: Admission, wantPlacedBy: "admission", wantStored: true, wantAnnotated: "webhook", wantRequests: []string{"emitted"}},
		"only admission, interlock":         {mode: Admission, admission: fixture.Absent, wantHeld: true, wantErr: fixture.ErrInterlock(), wantRequests: []string{"emitted"}, wantFlips: []string{flippedOff}},
		"only admission, our webhook fails": {mode: Admission, admission: fixture.Failing, wantHeld: true, wantErr: fixture.ErrWebhookFails(), wantRequests: []string{"emitted"}, wantFlips: []string{flippedOff}},
		"only admission, refused":           {mode: Admission, refuse: fixture.ErrQuota(), wantErr: fixture.ErrQuota(), wantRequests: []string{"emitted"}},
		"direct uses no admission":          {mode: Direct, admission: fixture.Rewrites, wantPlacedBy: "controller", wantStored: true, wantAnnotated: "controller", wantRequests: []string{"pinned"}},
		"direct, refused":                   {mode: Direct, refuse: fixture.ErrQuota(), wantErr: fixture.ErrQuota(), wantRequests: []string{"pinned"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, f := fixture.NewServer(), &flips{}
			s.Admission, s.Refuse = test.admission, test.refuse
			p := New(Options{Client: s, Mode: test.mode, Samples: samplesOf(fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
			pod := fixture.Emitted("n1")
			placedBy, err := p.Create(t.Context(), pod)

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
			fixture.WantStrings(t, "requests", test.wantRequests, s.Requests)
			fixture.WantStrings(t, "flips", test.wantFlips, f.seen)

			stored := s.Pods(t)
			if !test.wantStored {
				if len(stored) > 0 {
					t.Fatalf("%d pods were stored, want none", len(stored))
				}
				return
			}
			// Whichever component places it, the pod is the same except for the annotation placed-by (S2).
			want := fixture.Emitted("n1")
			if _, err := daemon.Rewrite(want, test.wantAnnotated); err != nil {
				t.Fatal(err)
			}
			ignore := cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")
			if diff := cmp.Diff([]corev1.Pod{*want}, stored, ignore, cmpopts.IgnoreTypes(metav1.TypeMeta{})); diff != "" {
				t.Errorf("stored (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(stored[0].Spec, pod.Spec); diff != "" {
				t.Errorf("the caller's pod differs from the stored one (-stored, +pod):\n%s", diff)
			}
		})
	}
}

// samplesOf returns emitted pods for the probe.
func samplesOf(pods ...*corev1.Pod) func(int) []*corev1.Pod {
	return func(limit int) []*corev1.Pod {
		var samples []*corev1.Pod
		for _, pod := range pods[:min(limit, len(pods))] {
			samples = append(samples, pod.DeepCopy())
		}
		return samples
	}
}

// Once admission is known not to be effective, no pod is emitted to it; the probe detects by a dry run of an
// emitted pod that it is effective again; and each change is reported once.
func TestPlacerFlipsOnceEachWay(t *testing.T) {
	s, f := fixture.NewServer(), &flips{}
	p := New(Options{Client: s, Mode: Auto, Samples: samplesOf(fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
	create := func(node, wantPlacedBy string, wantRequests ...string) {
		t.Helper()
		s.Requests = nil
		placedBy, err := p.Create(t.Context(), fixture.Emitted(node))
		if err != nil || placedBy != wantPlacedBy {
			t.Errorf("placed by %q, %v, want %q", placedBy, err, wantPlacedBy)
		}
		fixture.WantStrings(t, "requests", wantRequests, s.Requests)
	}
	probe := func(wantRequests ...string) {
		t.Helper()
		s.Requests = nil
		stored := len(s.Pods(t))
		p.Probe(t.Context())
		fixture.WantStrings(t, "requests of the probe", wantRequests, s.Requests)
		if got := len(s.Pods(t)); got != stored {
			t.Errorf("the probe stored %d pods", got-stored)
		}
	}

	probe() // admission is effective as far as known: no probe
	create("n1", "admission", "emitted")
	probe()
	s.Admission = fixture.Absent
	create("n2", "controller", "emitted", "pinned")
	create("n3", "controller", "pinned")
	fixture.WantStrings(t, "flips", []string{flippedOff}, f.seen)
	probe("emitted, dry run")
	s.Admission = fixture.Failing
	probe("emitted, dry run")
	create("n4", "controller", "pinned")
	fixture.WantStrings(t, "flips while it is unreachable", []string{flippedOff}, f.seen)
	s.Admission = fixture.Rewrites
	create("n5", "controller", "pinned")
	probe("emitted, dry run")
	fixture.WantStrings(t, "flips when it is effective again", []string{flippedOff, flippedOn}, f.seen)
	probe()
	create("n6", "admission", "emitted")
	s.Admission = fixture.Failing
	create("n7", "controller", "emitted", "pinned")
	fixture.WantStrings(t, "flips when it is unreachable again", []string{flippedOff, flippedOn, flippedOff}, f.seen)
}

// With --placement=admission every pod is still emitted, and the first that is stored shows that admission is effective.
func TestPlacerAdmissionModeRecovers(t *testing.T) {
	s, f := fixture.NewServer(), &flips{}
	p := New(Options{Client: s, Mode: Admission, Samples: samplesOf(fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
	s.Admission = fixture.Absent
	for range 3 {
		if _, err := p.Create(t.Context(), fixture.Emitted("n1")); err == nil {
			t.Fatal("a pod was created without admission")
		}
	}
	s.Admission = fixture.Rewrites
	if _, err := p.Create(t.Context(), fixture.Emitted("n1")); err != nil {
		t.Fatal(err)
	}
	fixture.WantStrings(t, "requests", []string{"emitted", "emitted", "emitted", "emitted"}, s.Requests)
	fixture.WantStrings(t, "flips", []string{flippedOff, flippedOn}, f.seen)
}

// The name of the sample is taken as soon as the controller has placed it itself.
func TestPlacerProbeAcceptsATakenName(t *testing.T) {
	s, f := fixture.NewServer(), &flips{}
	p := New(Options{Client: s, Mode: Auto, Samples: samplesOf(fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
	s.Admission = fixture.Absent
	if _, err := p.Create(t.Context(), fixture.Emitted("n1")); err != nil {
		t.Fatal(err)
	}
	s.Admission, s.Refuse = fixture.Rewrites, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "pods"}, "p")
	p.Probe(t.Context())
	fixture.WantStrings(t, "flips", []string{flippedOff, flippedOn}, f.seen)
}

func TestPlacerProbeIgnoresOtherErrors(t *testing.T) {
	s, f := fixture.NewServer(), &flips{}
	p := New(Options{Client: s, Mode: Auto, Samples: samplesOf(fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
	s.Admission = fixture.Absent
	if _, err := p.Create(t.Context(), fixture.Emitted("n1")); err != nil {
		t.Fatal(err)
	}
	s.Admission = fixture.Rewrites
	for _, refuse := range []error{errors.New("connection refused"), apierrors.NewServiceUnavailable("x"), apierrors.NewTooManyRequests("x", 1)} {
		s.Refuse = refuse
		p.Probe(t.Context())
	}
	fixture.WantStrings(t, "flips", []string{flippedOff}, f.seen)
}

// A refusal for another reason may show whether the pod was rewritten before; otherwise
// another daemon's pod is tried.
func TestPlacerProbeWithPodsThatAreRefused(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{field.Required(field.NewPath("spec", "containers").Index(0).Child("image"), "")})
	tests := map[string]struct {
		refuse       error
		samples      int
		admission    fixture.Admission
		wantRequests int
		wantBack     bool
	}{
		"invalid was rewritten before":  {refuse: invalid, samples: 3, wantRequests: 1, wantBack: true},
		"a quota comes after":           {refuse: fixture.ErrQuota(), samples: 3, wantRequests: 1, wantBack: true},
		"a limited resource":            {refuse: forbidden("failed quota: q: must specify limits.cpu for: c"), samples: 3, wantRequests: 1, wantBack: true},
		"Pod Security comes after":      {refuse: forbidden(`violates PodSecurity "restricted:latest": x`), samples: 3, wantRequests: 1, wantBack: true},
		"an account: try others":        {refuse: forbidden("error looking up service account ns/a: not found"), samples: 3, wantRequests: 3},
		"another webhook: try others":   {refuse: deniedBy("exceeded quota: q"), samples: 3, wantRequests: 3},
		"a namespace: try others":       {refuse: fixture.ErrNamespaceTerminating(), samples: 3, wantRequests: 3},
		"no answer: try others":         {refuse: errors.New("connection refused"), samples: 3, wantRequests: 3},
		"a limited number of others":    {refuse: fixture.ErrNamespaceTerminating(), samples: 100, wantRequests: probeLimit},
		"interlock: no need for others": {refuse: fixture.ErrNamespaceTerminating(), samples: 3, admission: fixture.Absent, wantRequests: 1},
		"no daemon to try":              {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, f := fixture.NewServer(), &flips{}
			var pods []*corev1.Pod
			for i := range test.samples {
				pods = append(pods, fixture.Emitted(fmt.Sprintf("n%d", i)))
			}
			p := New(Options{Client: s, Mode: Auto, Samples: samplesOf(pods...), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
			p.set(t.Context(), "it was unreachable")
			s.Refuse, s.Admission = test.refuse, test.admission
			p.Probe(t.Context())
			if len(s.Requests) != test.wantRequests {
				t.Errorf("%d requests, want %d", len(s.Requests), test.wantRequests)
			}
			want := []string{flippedOff}
			if test.wantBack {
				want = append(want, flippedOn)
			}
			fixture.WantStrings(t, "flips", want, f.seen)
		})
	}
}

// forbidden returns the answer of a plugin of the API server, and deniedBy that of another webhook
// (k8s.io/apiserver pkg/admission/plugin/webhook/errors ToStatusErr).
func forbidden(why string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(why))
}

func deniedBy(why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Code: 403, Reason: metav1.StatusReasonForbidden, Message: `admission webhook "w.example.com" denied the request: pods "p" is forbidden: ` + why,
	}}
}

// Pods that admission excludes or refuses are placed here, and reveal nothing about admission.
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
			s, f := fixture.NewServer(), &flips{}
			s.Admission = fixture.Absent
			pod, sample := fixture.Emitted("n1"), fixture.Emitted("n2")
			test.change(pod)
			test.change(sample)
			p := New(Options{Client: s, Mode: Admission, Samples: samplesOf(sample, fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
			placedBy, err := p.Create(t.Context(), pod)
			var contradiction *daemon.ContradictoryPinError
			if errors.As(err, &contradiction) != test.contradicts || !test.contradicts && (err != nil || placedBy != PlacedByController) {
				t.Errorf("placed by %q, %v; want the controller, or the contradiction: %v", placedBy, err, test.contradicts)
			}
			fixture.WantStrings(t, "requests", test.wantRequests, s.Requests)
			fixture.WantStrings(t, "flips", nil, f.seen)

			// The probe uses another pod.
			p.set(t.Context(), "it was unreachable")
			s.Admission, s.Requests = fixture.Rewrites, nil
			p.Probe(t.Context())
			fixture.WantStrings(t, "requests of the probe", []string{"emitted, dry run"}, s.Requests)
			fixture.WantStrings(t, "flips", []string{flippedOff, flippedOn}, f.seen)
		})
	}
}

// Another webhook that is down is not bypassed: each attempt creates the pod once.
func TestPlacerDoesNotBypassOtherWebhooks(t *testing.T) {
	s, f := fixture.NewServer(), &flips{}
	s.Refuse = apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.com": connection refused`))
	p := New(Options{Client: s, Mode: Auto, Samples: samplesOf(), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
	if _, err := p.Create(t.Context(), fixture.Emitted("n1")); err == nil {
		t.Error("the pod was created")
	}
	fixture.WantStrings(t, "requests", []string{"emitted"}, s.Requests)
	fixture.WantStrings(t, "flips", nil, f.seen)
}

// Many workers get failures of the webhook at once; one reports it.
func TestPlacerFlipsOnceForManyWorkers(t *testing.T) {
	s, f := fixture.NewServer(), &flips{}
	s.Admission = fixture.Failing
	p := New(Options{Client: s, Mode: Auto, Samples: samplesOf(fixture.Emitted("n9")), Flipped: f.flipped, Answered: func(*corev1.Pod) {}})
	var workers sync.WaitGroup
	for i := range 20 {
		workers.Go(func() {
			if _, err := p.Create(t.Context(), fixture.Emitted(fmt.Sprintf("n%d", i))); err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		})
	}
	workers.Wait()
	fixture.WantStrings(t, "flips", []string{flippedOff}, f.seen)
	if got := len(s.Pods(t)); got != 20 {
		t.Errorf("%d pods, want 20", got)
	}
}

func TestPlacerCondition(t *testing.T) {
	tests := map[string]struct {
		mode      Mode
		admission fixture.Admission
		noPolicy  string
		want      metav1.Condition
		wantParts []string // of the message
		wantNot   string   // a part of it
	}{
		"auto, effective":            {mode: Auto, want: metav1.Condition{Status: metav1.ConditionTrue, Reason: "PlacementAdmissionEffective"}, wantParts: []string{"admission pins"}},
		"auto, no admission":         {mode: Auto, admission: fixture.Absent, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"pinned by the controller", "no webhook configuration"}},
		"auto, webhook fails":        {mode: Auto, admission: fixture.Failing, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"pinned by the controller", "everynode-webhook does not answer", "connection refused"}},
		"only admission, effective":  {mode: Admission, want: metav1.Condition{Status: metav1.ConditionTrue, Reason: "PlacementAdmissionEffective"}, wantParts: []string{"admission pins"}},
		"only admission, none":       {mode: Admission, admission: fixture.Absent, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"no pods are created", "no webhook configuration"}},
		"only admission, fails":      {mode: Admission, admission: fixture.Failing, want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"no pods are created", "connection refused"}},
		"policies are not available": {mode: Auto, admission: fixture.Absent, noPolicy: "it is Kubernetes 1.35", want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"no webhook configuration", "it is Kubernetes 1.35"}},
		"and not needed":             {mode: Auto, admission: fixture.Failing, noPolicy: "it is Kubernetes 1.35", want: metav1.Condition{Status: metav1.ConditionFalse, Reason: "PlacementAdmissionNotEffective"}, wantParts: []string{"connection refused"}, wantNot: "1.35"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := fixture.NewServer()
			s.Admission = test.admission
			p := New(Options{Client: s, Mode: test.mode, Samples: samplesOf(fixture.Emitted("n9")), Flipped: (&flips{}).flipped, Answered: func(*corev1.Pod) {}})
			p.NoPolicy = test.noPolicy
			_, _ = p.Create(t.Context(), fixture.Emitted("n1"))
			conditions := p.Condition()
			if len(conditions) != 1 {
				t.Fatalf("%d conditions, want 1", len(conditions))
			}
			got := conditions[0]
			for _, part := range test.wantParts {
				if !strings.Contains(got.Message, part) {
					t.Errorf("message %q, want %q in it", got.Message, part)
				}
			}
			if test.wantNot != "" && strings.Contains(got.Message, test.wantNot) {
				t.Errorf("message %q, want no %q in it", got.Message, test.wantNot)
			}
			got.Message, test.want.Type = "", "PlacementAdmission"
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("condition (-want, +got):\n%s", diff)
			}
		})
	}
	if got := New(Options{Client: fixture.NewServer(), Mode: Direct, Samples: nil, Flipped: nil, Answered: func(*corev1.Pod) {}}).Condition(); len(got) > 0 {
		t.Errorf("direct placement uses no admission, but reports %v about it", got)
	}
}

// The failure of our webhooks is recognized by their name, which all of them must have.
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

func TestParse(t *testing.T) {
	tests := map[string]bool{"auto": true, "admission": true, "direct": true, "webhook": false, "policy": false, "": false, "Auto": false}
	for value, want := range tests {
		got, err := Parse(value)
		if (err == nil) != want || want && string(got) != value {
			t.Errorf("Parse(%q) = %q, %v, want ok %v", value, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "use auto, admission or direct") {
			t.Errorf("error %q does not name what to use", err)
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
