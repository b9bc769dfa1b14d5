package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// episode is a sequence of samples, as in promtool test rules: series, and when an alert fires.
type episode struct {
	series string // one sample a minute
	at     time.Duration
	fires  string // what the alert's description has to contain; "" when it must not fire
}

// Every alert of the chart fires when it should, and not before.
func TestAlerts(t *testing.T) {
	const cache = `everynode_cache_synced{instance="a", kind="Pod"} `
	const expiry = `everynode_webhook_certificate_expiration_timestamp_seconds{instance="a"} `
	const errors = `everynode_webhook_certificate_renewal_errors_total{instance="a"} `
	const stop = `everynode_emergency_stop{instance="a"} `
	const drift = `everynode_cell_drift_total{instance="a"} `
	tests := map[string]map[string]episode{
		"EverynodeCacheNotSynced": {
			"a synced cache":                  {cache + "1x60", time.Hour, ""},
			"not synced for less than 10 min": {cache + "1x5 0x60", 15 * time.Minute, ""},
			"not synced for longer":           {cache + "1x5 0x60", 17 * time.Minute, "list or watch Pod for 10 minutes"},
			"synced again":                    {cache + "0x30 1x60", 32 * time.Minute, ""},
			"interrupted twice":               {cache + "0x8 1x1 0x8", 17 * time.Minute, ""},
			"a replica that does not lead":    {`up{instance="a"} 1x60`, time.Hour, ""},
		},
		"EverynodeEmergencyStop": {
			"off":                     {stop + "0x60", time.Hour, ""},
			"on for less than 15 min": {stop + "0x30 1x14", 44 * time.Minute, ""},
			"on for longer":           {stop + "0x30 1x30", 50 * time.Minute, "new templates of DaemonSets reach no node"},
			"on, and off again":       {stop + "1x30 0x30", time.Hour, ""},
		},
		"EverynodeCellsDrift": {
			"no difference":          {drift + "0x90", time.Hour, ""},
			"a difference was found": {drift + "0x30 1x60", time.Hour, "found and corrected"},
			"found long ago":         {drift + "0x10 1x90", 90 * time.Minute, ""},
		},
		"EverynodeWebhookCertificateExpiresSoon": {
			"in a month":                    {expiry + "2592000x60", time.Hour, ""},
			"within a week, for 10 minutes": {expiry + "604800x60", 10 * time.Minute, ""},
			"within a week":                 {expiry + "604800x60", time.Hour, "expires in 6d 23h"},
		},
		"EverynodeWebhookCertificateExpired": {
			"in a minute":  {expiry + "3660x60", time.Hour, ""},
			"a minute ago": {expiry + "3540x60", time.Hour, "refuses"},
		},
		"EverynodeWebhookCertificateRenewalFails": {
			"never":      {errors + "0x60", time.Hour, ""},
			"once":       {errors + "0x30 1x60", time.Hour, ""},
			"repeatedly": {errors + "0+1x60", time.Hour, "failed for 15 minutes"},
		},
	}
	for name, rule := range alerts(t) {
		if len(tests[name]) == 0 {
			t.Errorf("alert %s has no test", name)
		}
		for title, course := range tests[name] {
			t.Run(name+"/"+title, func(t *testing.T) { course.check(t, rule) })
		}
		delete(tests, name)
	}
	for name := range tests {
		t.Errorf("there is no alert %s", name)
	}
}

func (e *episode) check(t *testing.T, rule rulefmt.Rule) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000, Timeout: time.Minute})
	defer func() { _ = engine.Close() }()
	series, err := parse(e.series)
	if err != nil {
		t.Fatal(err)
	}
	var active time.Duration // how long the expression has had a result without interruption
	var result promql.Vector
	for at := time.Duration(0); at <= e.at; at += time.Minute {
		query, err := engine.NewInstantQuery(t.Context(), series, nil, rule.Expr, time.Unix(0, 0).Add(at))
		if err != nil {
			t.Fatal(err)
		}
		if result, err = query.Exec(t.Context()).Vector(); err != nil {
			t.Fatal(err)
		}
		if active += time.Minute; len(result) == 0 {
			active = -time.Minute
		}
	}
	if fires := len(result) > 0 && active >= time.Duration(rule.For); fires != (e.fires != "") {
		t.Errorf("fires: %v; the result is %v, for %v", fires, result, active)
	} else if fires {
		e.describes(t, rule, result[0])
	}
}

func (e *episode) describes(t *testing.T, rule rulefmt.Rule, of promql.Sample) {
	const variables = "{{$labels := .Labels}}{{$value := .Value}}"
	expander := template.NewTemplateExpander(t.Context(), variables+rule.Annotations["description"], rule.Alert,
		template.AlertTemplateData(of.Metric.Map(), nil, "", of), model.Now(), nil, nil, nil)
	text, err := expander.Expand()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, e.fires) {
		t.Errorf("the alert describes %q, want %q in it", text, e.fires)
	}
}

// one is a Queryable, and its Querier, with a single series.
type one struct {
	storage.MockQuerier
	labels  labels.Labels
	samples []chunks.Sample
}

func parse(text string) (*one, error) {
	name, values, err := promQL.ParseSeriesDesc(text)
	if err != nil {
		return nil, err
	}
	series := &one{labels: name}
	for i, value := range values {
		series.samples = append(series.samples, sample{int64(i) * time.Minute.Milliseconds(), value.Value})
	}
	return series, nil
}

func (o *one) Querier(int64, int64) (storage.Querier, error) { return o, nil }

func (o *one) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	for _, matcher := range matchers {
		if !matcher.Matches(o.labels.Get(matcher.Name)) {
			return storage.EmptySeriesSet()
		}
	}
	return &set{series: storage.NewListSeries(o.labels, o.samples)}
}

// set is a SeriesSet of one series.
type set struct {
	series storage.Series
	begun  bool
}

func (s *set) Next() bool {
	next := !s.begun
	s.begun = true
	return next
}

func (s *set) At() storage.Series                { return s.series }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

type sample struct {
	at    int64 // in ms
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// alerts are those of the chart, by name.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	text, err := os.ReadFile("../../deploy/chart/everynode/files/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promQL, slog.Default())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	found := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			found[rule.Alert] = rule
		}
	}
	return found
}
