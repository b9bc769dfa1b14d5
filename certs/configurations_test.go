package certs

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What somebody else wrote since it was seen is not written over, though only the entries are patched:
// trust is planned for what was seen.
func TestConfigurationsAreWrittenAsSeen(t *testing.T) {
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
				t.Errorf("writing what was seen before somebody else wrote: %v, want a conflict", err)
			}
			if _, err := trust.observe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := trust.write(t.Context(), id, ours, ""); err != nil {
				t.Errorf("writing what was seen now: %v", err)
			}
		})
	}
}
