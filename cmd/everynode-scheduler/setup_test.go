package main

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientfeatures "k8s.io/client-go/features"
	"k8s.io/component-base/featuregate"
	_ "k8s.io/kubernetes/pkg/features" // registers client-go's features
)

// gatesOf returns the features of a release, as a scheduler that emulates it has them.
type gatesOf struct{ featuregate.FeatureGate }

func (g gatesOf) Enabled(feature clientfeatures.Feature) bool {
	return g.FeatureGate.Enabled(featuregate.Feature(feature))
}

// Lists are processed in one step whatever release the scheduler emulates; no other feature changes.
func TestListsAreProcessedInOneStep(t *testing.T) {
	gates := utilfeature.DefaultMutableFeatureGate.DeepCopy()
	if err := gates.SetEmulationVersion(version.MustParse("1.35")); err != nil {
		t.Fatal(err)
	}
	former, whole := gatesOf{gates}, wholeLists{gatesOf{gates}}
	if former.Enabled(clientfeatures.AtomicFIFO) || !whole.Enabled(clientfeatures.AtomicFIFO) {
		t.Errorf("%s: enabled %v with the features of Kubernetes 1.35, and %v in everynode-scheduler", clientfeatures.AtomicFIFO, former.Enabled(clientfeatures.AtomicFIFO), whole.Enabled(clientfeatures.AtomicFIFO))
	}
	for _, feature := range []clientfeatures.Feature{clientfeatures.ClientsAllowCBOR, clientfeatures.WatchListClient, clientfeatures.InOrderInformers} {
		if former.Enabled(feature) != whole.Enabled(feature) {
			t.Errorf("%s changed", feature)
		}
	}
}
