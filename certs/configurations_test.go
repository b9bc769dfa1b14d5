package certs

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A change by another client since the read is not overwritten, although only the entries are patched:
// trust was planned for what was read.
func TestConfigurationsAreNotOverwritten(t *testing.T) {
	fake := newFakeClient(t)
	trust := configurations{client: fake, ids: testConfigurations}
	if _, err := trust.observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	theirs := makeCA(t, begin)
	for _, id := range testConfigurations {
		t.Run(id.String(), func(t *testing.T) {
			object := id.object()
			if err := fake.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
				t.Fatal(err)
			}
			for _, config := range clientConfigs(object) {
				config.CABundle = certificatePEM(theirs.Certificate, nil)
			}
			if err := fake.Update(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			ours := bundle{makeCA(t, begin).Certificate}
			if err := trust.write(t.Context(), id, ours, ""); !apierrors.IsConflict(err) {
				t.Errorf("writing over a change by another client: %v, want a conflict", err)
			}
			if _, err := trust.observe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := trust.write(t.Context(), id, ours, ""); err != nil {
				t.Errorf("writing after another read: %v", err)
			}
		})
	}
}
