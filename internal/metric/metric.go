// Package metric declares Everynode's metrics, each once: its name with the unit in it, its type, its help, and its labels with
// the values that they may have. docs/reference/metrics.md is generated from what is declared.
package metric

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Label is a label of a metric. No label has a value for each node, pod or DaemonSet, which would be too many series.
type Label struct {
	Name string
	// Values are all values of the label. If they are not known, Meaning describes them.
	Values  []string
	Meaning string
}

// Declaration describes a metric.
type Declaration struct {
	Name   string
	Type   Type
	Help   string
	Labels []Label
}

// Type is that of a metric, as Prometheus names it.
type Type string

// The types of metrics in use.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// declared is filled by the variables of packages, which are initialized one after the other.
var declared []Declaration

// Declared returns the metrics of all packages that are linked, by name.
func Declared() []Declaration {
	sorted := slices.Clone(declared)
	slices.SortFunc(sorted, func(a, b Declaration) int { return strings.Compare(a.Name, b.Name) })
	return sorted
}

func declare(name string, kind Type, help string, labels []Label) (names []string) {
	declared = append(declared, Declaration{name, kind, help, labels})
	for _, label := range labels {
		names = append(names, label.Name)
	}
	return names
}

// NewCounter declares a counter.
func NewCounter(name, help string) prometheus.Counter {
	declare(name, Counter, help, nil)
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// NewCounterVec declares a counter with labels. Where their values are known, each series is 0 from the start: rate()
// and increase() miss the first increase of a series that appears with it.
func NewCounterVec(name, help string, labels ...Label) *prometheus.CounterVec {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, declare(name, Counter, help, labels))
	for _, values := range combinations(labels) {
		vector.WithLabelValues(values...)
	}
	return vector
}

// NewGauge declares a gauge.
func NewGauge(name, help string) prometheus.Gauge {
	declare(name, Gauge, help, nil)
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// NewHistogramVec declares a histogram with labels.
func NewHistogramVec(name, help string, buckets []float64, labels ...Label) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, declare(name, Histogram, help, labels))
}

// NewGaugeDesc declares a gauge that has its own collector.
func NewGaugeDesc(name, help string, labels ...Label) *prometheus.Desc {
	return prometheus.NewDesc(name, help, declare(name, Gauge, help, labels), nil)
}

// combinations returns all combinations of the labels' values; none if the values of any label are not known.
func combinations(labels []Label) [][]string {
	all := [][]string{nil}
	for _, label := range labels {
		var longer [][]string
		for _, values := range all {
			for _, value := range label.Values {
				longer = append(longer, append(slices.Clone(values), value))
			}
		}
		all = longer
	}
	return all
}
