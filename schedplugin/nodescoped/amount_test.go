package nodescoped

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The needed and the available amount are in one unit, and the available one never appears to be sufficient.
func TestAmountsAreInOneUnit(t *testing.T) {
	tests := map[string]struct {
		resource     corev1.ResourceName
		needs, there int64
		want         string
	}{
		"bytes beside Gi":                    {"hugepages-2Mi", 8 * gi, 1000, "8192Mi, 0Mi"},
		"nothing":                            {"hugepages-1Gi", 2 * gi, 0, "2Gi, 0Gi"},
		"Ki beside Gi":                       {"memory", 64 * gi, 300 * ki, "65536Mi, 0Mi"},
		"Mi beside Gi":                       {"memory", gi, 96 * mi, "1024Mi, 96Mi"},
		"Gi":                                 {"memory", 64 * gi, 4 * gi, "64Gi, 4Gi"},
		"tenths":                             {"memory", 100*gi + gi/4, 20*gi + gi/2, "100.3Gi, 20.5Gi"},
		"tenths beside Mi":                   {"memory", 12*gi + gi/2, 512 * mi, "12800Mi, 512Mi"},
		"less than the needed amount's unit": {"ephemeral-storage", 500 * mi, 400 * mi, "500Mi, 400Mi"},
		"Ki beside Mi":                       {"ephemeral-storage", mi, 1000 * ki, "1024Ki, 1000Ki"},
		"bytes beside Mi":                    {"memory", 2 * mi, 5, "2048Ki, 0Ki"},
		"bytes":                              {"memory", 1000, 5, "1000, 5"},
		"almost enough":                      {"memory", gi, gi - 1, "1024Mi, 1023Mi"},
		"almost enough, in a larger unit":    {"memory", 20 * gi, 20*gi - 1, "20Gi, 19.9Gi"},
		"the largest":                        {"memory", 1<<63 - 1, 1 << 62, "8589934592Gi, 4294967296Gi"},
		"cpu":                                {"cpu", 2000, 0, "2000m, 0m"},
		"an extended resource":               {"example.com/gpu", 2, 1, "2, 1"},
		"an attachable volume":               {"attachable-volumes-csi", 2048, 1024, "2048, 1024"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			needs, there := amounts(test.resource, test.needs, test.there)
			if got := needs + ", " + there; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			unitIn := func(text string) string { return strings.TrimLeft(text, "0123456789.") }
			if unitIn(needs) != unitIn(there) {
				t.Errorf("got %s and %s, want one unit", needs, there)
			}
		})
	}
}
