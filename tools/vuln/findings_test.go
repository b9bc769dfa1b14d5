package main

import (
	"strings"
	"testing"
	"time"
)

const stream = `{"config":{"protocol_version":"v1.0.0"}}
{"osv":{"id":"GO-2026-0001","summary":"a loop without an end"}}
{"osv":{"id":"GO-2026-0002","summary":"a header without a limit"}}
{"finding":{"osv":"GO-2026-0001","fixed_version":"v1.2.4","trace":[{"module":"example.com/m","version":"v1.2.3"}]}}
{"finding":{"osv":"GO-2026-0002","trace":[{"module":"example.com/m","version":"v1.2.3","package":"example.com/m/p"}]}}
{"finding":{"osv":"GO-2026-0001","fixed_version":"v1.2.4","trace":[
 {"module":"example.com/m","version":"v1.2.3","package":"example.com/m/p","receiver":"*T","function":"Read"},
 {"module":"example.com/x","package":"example.com/x","function":"between"},
 {"module":"example.com/x","package":"example.com/x","function":"main"}]}}
{"finding":{"osv":"GO-2026-0001","fixed_version":"v1.2.4","trace":[
 {"module":"example.com/m","version":"v1.2.3","package":"example.com/m/p","receiver":"*T","function":"Read"},
 {"module":"example.com/x","package":"example.com/x","function":"main"}]}}`

// A vulnerability that is called fails the check until a valid exception covers it; one that is only imported does not.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		exceptions string
		want       []string // parts of the error; none for no error
	}{
		"no exception":      {"", []string{"GO-2026-0001: a loop without an end", "in example.com/m v1.2.3, fixed in v1.2.4; called by\n  example.com/x.main\n  example.com/m/p.*T.Read"}},
		"an exception":      {"# why\n\nGO-2026-0001 2026-11-30 it reads our own file\n", nil},
		"an expired one":    {"GO-2026-0001 2026-11-29 it reads our own file", []string{"GO-2026-0001: a loop", "has expired", "it reads our own file"}},
		"one for another":   {"GO-2026-0001 2026-12-01 ours\nGO-2026-0002 2026-12-01 ours", []string{"GO-2026-0002 is excepted, and not called"}},
		"one of the past":   {"GO-2026-0001 2026-12-01 ours\nGO-2020-0001 2026-12-01 ours", []string{"GO-2020-0001 is excepted, and not called"}},
		"without a reason":  {"GO-2026-0001 2026-12-01", []string{"and the reason"}},
		"without a day":     {"GO-2026-0001 soon ours", []string{"soon"}},
		"of another scheme": {"CVE-2026-1 2026-12-01 ours", []string{"and the reason"}},
		"twice":             {"GO-2026-0001 2026-12-01 a\nGO-2026-0001 2026-12-02 b", []string{"twice"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := parseFindings(strings.NewReader(stream))
			if err != nil {
				t.Fatal(err)
			}
			if len(found.all) != 2 || len(found.called) != 1 {
				t.Errorf("found %d, %d of them called, want 2 and 1", len(found.all), len(found.called))
			}
			exceptions, err := parseExceptions(test.exceptions)
			if err == nil {
				err = judge(found, exceptions, now, t.Output())
			}
			if (err == nil) != (test.want == nil) {
				t.Fatalf("the error is %v, want one: %v", err, test.want != nil)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error is %v, want: %s", err, part)
				}
			}
		})
	}
}

// Answers that are not govulncheck's, or of a later protocol, are errors, not the absence of vulnerabilities.
func TestUnreadableMessages(t *testing.T) {
	for _, text := range []string{"", `{"config":{"protocol_version":"v2.0.0"}}`, `{"config":{"protocol_version":"v1.0.0"}} {`} {
		if _, err := parseFindings(strings.NewReader(text)); err == nil {
			t.Errorf("%q has no error", text)
		}
	}
}
