package daemon

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // as the controller has it
)

func mustWindow(t *testing.T, schedule string, duration time.Duration, timeZone string) *Window {
	t.Helper()
	w, err := NewWindow(schedule, duration, timeZone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWindow(t *testing.T) {
	const hour = time.Hour
	tests := map[string]struct {
		schedule string
		duration time.Duration
		zone     string
		now      string
		open     bool
		change   string // "" if nothing changes
	}{
		"before":                            {"0 2 * * 6", 4 * hour, "", "2026-12-05T01:59:59Z", false, "2026-12-05T02:00:00Z"},
		"at the opening":                    {"0 2 * * 6", 4 * hour, "", "2026-12-05T02:00:00Z", true, "2026-12-05T06:00:00Z"},
		"a nanosecond before the end":       {"0 2 * * 6", 4 * hour, "", "2026-12-05T05:59:59.999999999Z", true, "2026-12-05T06:00:00Z"},
		"at the end":                        {"0 2 * * 6", 4 * hour, "", "2026-12-05T06:00:00Z", false, "2026-12-12T02:00:00Z"},
		"in a time zone":                    {"0 2 * * 6", 4 * hour, "Asia/Kolkata", "2026-12-04T20:30:00Z", true, "2026-12-05T00:30:00Z"},
		"two that overlap":                  {"0 2,4 * * 6", 3 * hour, "", "2026-12-05T02:30:00Z", true, "2026-12-05T07:00:00Z"},
		"two that touch":                    {"0 2,4 * * 6", 2 * hour, "", "2026-12-05T02:30:00Z", true, "2026-12-05T06:00:00Z"},
		"a weekend":                         {"0 0 * * 6", 48 * hour, "", "2026-12-06T23:59:00Z", true, "2026-12-07T00:00:00Z"},
		"30 February":                       {"0 0 30 2 *", hour, "", "2026-12-05T00:00:00Z", false, ""},
		"29 February":                       {"0 0 29 2 *", hour, "", "2026-12-05T00:00:00Z", false, "2028-02-29T00:00:00Z"},
		"Berlin, the hour that is skipped":  {"30 2 * * *", hour, "Europe/Berlin", "2026-03-28T12:00:00Z", false, "2026-03-30T00:30:00Z"},
		"Berlin, across the skipped hour":   {"0 1 * * *", 2 * hour, "Europe/Berlin", "2026-03-29T00:30:00Z", true, "2026-03-29T02:00:00Z"},
		"Berlin, the hour that is repeated": {"30 2 * * *", hour, "Europe/Berlin", "2026-10-25T00:45:00Z", true, "2026-10-25T02:30:00Z"},
		"Sydney, the hour that is skipped":  {"30 2 * * *", hour, "Australia/Sydney", "2026-10-03T12:00:00Z", false, "2026-10-04T15:30:00Z"},
		"Sydney, the hour that is repeated": {"30 2 * * *", hour, "Australia/Sydney", "2026-04-04T15:45:00Z", true, "2026-04-04T17:30:00Z"},
		"Cairo, a midnight that is skipped": {"30 5 * * 4", hour, "Africa/Cairo", "2026-04-23T12:00:00Z", false, "2026-04-30T02:30:00Z"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			open, change := mustWindow(t, test.schedule, test.duration, test.zone).At(moment(t, test.now))
			want := time.Time{}
			if test.change != "" {
				want = moment(t, test.change)
			}
			if open != test.open || !change.Equal(want) {
				t.Errorf("open %v until %s, want %v until %s", open, change.UTC(), test.open, want)
			}
		})
	}
}

// At any minute, a window is open exactly if it opened within its duration, and it changes when it says so.
func TestWindowAgreesWithEveryMinute(t *testing.T) {
	for _, zone := range []string{"", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"} {
		for _, schedule := range []string{"0 2 * * *", "15 1,3 * * 0", "*/45 0-4 * * *"} {
			w := mustWindow(t, schedule, 90*time.Minute, zone)
			now := moment(t, "2026-03-01T00:00:00Z")
			open, change := w.At(now)
			for range 45 * 24 * 60 {
				if now = now.Add(time.Minute); !now.Before(change) {
					was := open
					if open, change = w.At(now); open == was {
						t.Fatalf("%s %s: at %s nothing changes", schedule, zone, now)
					}
				}
				if got, _ := w.At(now); got != open {
					t.Fatalf("%s %s: at %s it is open: %v, without a change", schedule, zone, now, got)
				}
			}
		}
	}
}

func TestInvalidWindows(t *testing.T) {
	tests := map[string]struct {
		schedule string
		duration time.Duration
		zone     string
	}{
		"no schedule":                {"", time.Hour, ""},
		"four fields":                {"0 2 * *", time.Hour, ""},
		"six fields":                 {"0 0 2 * * *", time.Hour, ""},
		"a time zone":                {"TZ=UTC 0 2 * * *", time.Hour, ""},
		"a time zone alone":          {"TZ=0", time.Hour, ""},
		"another time zone":          {"CRON_TZ=UTC 0 2 * * *", time.Hour, ""},
		"an hour that is none":       {"0 25 * * *", time.Hour, ""},
		"steps of nothing":           {"*/0 * * * *", time.Hour, ""},
		"an interval":                {"@every 1h", time.Hour, ""},
		"a very long one":            {"0" + strings.Repeat(",0", 60) + " * * * *", time.Hour, ""},
		"a number that is too large": {"99999999999999999999 * * * *", time.Hour, ""},
		"too short":                  {"0 2 * * *", time.Second, ""},
		"too long":                   {"0 2 * * *", 169 * time.Hour, ""},
		"negative":                   {"0 2 * * *", -time.Hour, ""},
		"the machine's time zone":    {"0 2 * * *", time.Hour, "local"},
		"no time zone":               {"0 2 * * *", time.Hour, "Europe/Atlantis"},
		"a path":                     {"0 2 * * *", time.Hour, "../../etc/passwd"},
		"an absolute path":           {"0 2 * * *", time.Hour, "/etc/passwd"},
		"a long time zone":           {"0 2 * * *", time.Hour, strings.Repeat("a", 65)},
	}
	for name, test := range tests {
		if w, err := NewWindow(test.schedule, test.duration, test.zone); err == nil {
			t.Errorf("%s: %+v is accepted", name, w)
		}
	}
}

// Whatever a user writes, a window costs a bounded time.
func FuzzWindow(f *testing.F) {
	f.Add("0 2 * * 6", int64(time.Hour), "Europe/Berlin", int64(0))
	f.Add("0 0 30 2 *", int64(time.Hour), "America/Havana", int64(1e18))
	f.Add("* * * * *", int64(168*time.Hour), "", int64(1e18))
	f.Add("TZ=0", int64(time.Hour), "", int64(0))
	f.Fuzz(func(t *testing.T, schedule string, duration int64, zone string, now int64) {
		w, err := NewWindow(schedule, time.Duration(duration), zone)
		if err != nil {
			return
		}
		at, began := time.Unix(0, now), time.Now()
		if _, change := w.At(at); !change.IsZero() && !change.After(at) {
			t.Errorf("at %s it changes at %s", at, change)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it takes %s", took)
		}
	})
}
