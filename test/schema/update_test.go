package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

// at is a place in least, which need not exist.
func at(path string) place { return strings.Split(path, ".") }

const container = "spec.template.spec.containers.[]."

// Values that the schema refuses in a new object do not prevent the correction of a stored one: they may
// stay, another field may change, and they may be corrected.
func TestStoredObjectsStayCorrectable(t *testing.T) {
	s := mustServer(t)
	for name, stored := range map[string]map[string]any{
		"an exponent":         s.with(least(), at(container+"resources.limits.{}"), json.RawMessage(`"1e-40000000"`)),
		"more than int32":     s.with(least(), at("spec.updateStrategy.rollingUpdate.maxUnavailable"), json.RawMessage("5000000000")),
		"a port too high":     s.with(least(), at(container+"livenessProbe.tcpSocket.port"), json.RawMessage("5000000000")),
		"a long name":         s.with(least(), at("spec.template.spec.serviceAccountName"), strings.Repeat("a", 5000)),
		"a reserved label":    s.with(least(), at("spec.template.metadata.labels"), map[string]any{"app": "agent", "controller-revision-hash": "a"}),
		"a reserved selector": reserved(s, "pod-template-generation"),
	} {
		t.Run(name, func(t *testing.T) {
			raw := encode(stored)
			if _, err := s.create(raw); err == nil {
				t.Fatal("it is accepted as a new object, so the test proves nothing")
			}
			if err := s.update(raw, raw); err != nil {
				t.Errorf("without a change in spec: %v", err)
			}
			changed := encode(s.with(stored, at(container+"image"), "another"))
			if err := s.update(changed, raw); err != nil {
				t.Errorf("with a change of another field: %v", err)
			}
			if name == "a reserved selector" {
				return // a selector never changes
			}
			if err := s.update(encode(least()), raw); err != nil {
				t.Errorf("with the correction: %v", err)
			}
			if err := s.update(raw, encode(least())); err == nil {
				t.Error("an update introduces a value that a new object must not have")
			}
		})
	}
}

// reserved returns a DaemonSet that selects its pods by a label that controllers set.
func reserved(s *server, label string) map[string]any {
	labels := map[string]any{"app": "agent", label: "a"}
	return s.with(s.with(least(), at("spec.template.metadata.labels"), labels), at("spec.selector.matchLabels"), labels)
}

// Labels that controllers set on the pods they create are refused in selector and template: a controller would
// disown the pods that it creates.
func TestReservedLabelsAreRefused(t *testing.T) {
	s := mustServer(t)
	for _, label := range []string{"controller-revision-hash", "pod-template-generation"} {
		requirement := []any{map[string]any{"key": label, "operator": "DoesNotExist"}}
		for name, test := range map[string]struct {
			object map[string]any
			want   string
		}{
			"template":         {s.with(least(), at("spec.template.metadata.labels"), map[string]any{"app": "agent", label: "a"}), "remove them from the template"},
			"null in template": {s.with(least(), at("spec.template.metadata.labels"), map[string]any{"app": "agent", label: nil}), "remove them from the template"},
			"matchLabels":      {reserved(s, label), "select pods by labels of your own"},
			"matchExpressions": {s.with(least(), at("spec.selector.matchExpressions"), requirement), "select pods by labels of your own"},
		} {
			if _, err := s.create(encode(test.object)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s in %s: got %v, want %q", label, name, err, test.want)
			}
		}
	}
}

// The meaning of a selector never changes; null, empty and absent mean the same.
func TestSelectorIsImmutable(t *testing.T) {
	s := mustServer(t)
	with := func(selector string) []byte {
		labels := s.with(least(), at("spec.template.metadata.labels"), json.RawMessage(`{"app":"agent","tier":"node"}`))
		return encode(s.with(labels, at("spec.selector"), json.RawMessage(selector)))
	}
	const in, exists = `{"key":"app","operator":"In","values":["agent"]}`, `{"key":"tier","operator":"Exists"}`
	for name, test := range map[string]struct {
		old, new string
		refused  bool
	}{
		"the same":                 {old: `{"matchLabels":{"app":"agent"}}`, new: `{"matchLabels":{"app":"agent"}}`},
		"empty expressions":        {old: `{"matchLabels":{"app":"agent"}}`, new: `{"matchLabels":{"app":"agent"},"matchExpressions":[]}`},
		"null expressions":         {old: `{"matchLabels":{"app":"agent"},"matchExpressions":null}`, new: `{"matchLabels":{"app":"agent"}}`},
		"empty labels":             {old: `{"matchExpressions":[` + in + `]}`, new: `{"matchLabels":{},"matchExpressions":[` + in + `]}`},
		"empty values":             {old: `{"matchExpressions":[` + exists + `]}`, new: `{"matchExpressions":[{"key":"tier","operator":"Exists","values":[]}]}`},
		"another label":            {old: `{"matchLabels":{"app":"agent"}}`, new: `{"matchLabels":{"tier":"node"}}`, refused: true},
		"an additional label":      {old: `{"matchLabels":{"app":"agent"}}`, new: `{"matchLabels":{"app":"agent","tier":"node"}}`, refused: true},
		"a removed label":          {old: `{"matchLabels":{"app":"agent","tier":"node"}}`, new: `{"matchLabels":{"app":"agent"}}`, refused: true},
		"labels to expressions":    {old: `{"matchLabels":{"app":"agent"}}`, new: `{"matchExpressions":[` + in + `]}`, refused: true},
		"an additional expression": {old: `{"matchExpressions":[` + in + `]}`, new: `{"matchExpressions":[` + in + `,` + exists + `]}`, refused: true},
		"one expression for two":   {old: `{"matchExpressions":[` + in + `,` + exists + `]}`, new: `{"matchExpressions":[` + in + `,` + in + `]}`, refused: true},
		"other values":             {old: `{"matchExpressions":[` + in + `]}`, new: `{"matchExpressions":[{"key":"app","operator":"In","values":["agent","other"]}]}`, refused: true},
		"another operator":         {old: `{"matchExpressions":[{"key":"app","operator":"Exists"}]}`, new: `{"matchExpressions":[` + in + `]}`, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, selector := range []string{test.old, test.new} {
				if _, err := s.create(with(selector)); err != nil {
					t.Fatalf("a new object with %s: %v", selector, err)
				}
			}
			err := s.update(with(test.new), with(test.old))
			if refused := err != nil && strings.Contains(err.Error(), "spec.selector is immutable"); refused != test.refused || (err != nil && !refused) {
				t.Errorf("got %v, want a refusal: %v", err, test.refused)
			}
		})
	}
}
