package main

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientfeatures "k8s.io/client-go/features"
	"k8s.io/component-base/featuregate"
	_ "k8s.io/kubernetes/pkg/features" // client-go's are among them
)

// gatesOf are the features of a release, as the scheduler has them that follows it.
type gatesOf struct{ featuregate.FeatureGate }

func (g gatesOf) Enabled(feature clientfeatures.Feature) bool {
	return g.FeatureGate.Enabled(featuregate.Feature(feature))
}

// Lists are taken up in one step whatever release the scheduler follows; nothing else is changed.
func TestListsAreTakenUpWhole(t *testing.T) {
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
			t.Errorf("%s is changed", feature)
		}
	}
}
