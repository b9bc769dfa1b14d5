package daemon

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Window is a maintenance window: it opens whenever its schedule says so, and stays open for a duration. It is read-only, and a
// pure function of the time.
//
// The schedule is a local time of the window's time zone. An hour that is skipped when clocks are set forward opens nothing; one
// that is repeated when they are set back opens the window twice.
type Window struct {
	schedule cron.Schedule
	duration time.Duration
	location *time.Location
}

// The most that a window may have. The schema of the CRD has the same limits, but an object may be stored without it.
const (
	maxSchedule   = 100
	maxTimeZone   = 64
	minWindow     = time.Minute
	maxWindow     = 168 * time.Hour
	maxActivation = 200 // openings that are joined to compute when a window closes
)

// schedules are expressions of five fields, and names. They contain no "=", so that none sets a time zone: the parser panics on some
// that do. "@every" depends on when it is evaluated.
var (
	schedules = regexp.MustCompile(`^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4})$`)
	timeZones = regexp.MustCompile(`^[A-Za-z0-9_+/-]+$`)
)

// NewWindow parses a window. An empty time zone is UTC.
func NewWindow(schedule string, duration time.Duration, timeZone string) (*Window, error) {
	if len(schedule) > maxSchedule || !schedules.MatchString(schedule) {
		return nil, fmt.Errorf("schedule must have five fields, as cron has them, or be one of @hourly, @daily, @weekly, @monthly and @yearly, with at most %d bytes and without a time zone, and is %q", maxSchedule, Shorten(schedule, maxSchedule))
	}
	if duration < minWindow || duration > maxWindow {
		return nil, fmt.Errorf("duration must be from 1m to 168h, and is %s", duration)
	}
	location, err := locate(timeZone)
	if err != nil {
		return nil, err
	}
	parsed, err := cron.ParseStandard(schedule)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return &Window{parsed, duration, location}, nil
}

func locate(timeZone string) (*time.Location, error) {
	switch {
	case timeZone == "":
		return time.UTC, nil
	case len(timeZone) > maxTimeZone || !timeZones.MatchString(timeZone):
		return nil, fmt.Errorf("timeZone must be a name of the time zone database, as Europe/Berlin, and is %q", Shorten(timeZone, maxTimeZone))
	case strings.EqualFold(timeZone, "Local"):
		return nil, errors.New("timeZone must not be Local, which depends on the controller's machine")
	}
	location, err := time.LoadLocation(timeZone)
	if err != nil {
		return nil, fmt.Errorf("timeZone %q is not in the time zone database", timeZone)
	}
	return location, nil
}

// At reports whether the window is open, and when that changes. The second is zero if it does not within five years, as with a
// schedule for 30 February; and of a window that is open for very long, the time may be one at which it still is.
func (w *Window) At(now time.Time) (open bool, change time.Time) {
	opened := w.next(now.Add(-w.duration)) // now is before its end
	if opened.IsZero() || opened.After(now) {
		return false, w.next(now)
	}
	closes := opened.Add(w.duration)
	for range maxActivation {
		again := w.next(opened)
		if again.IsZero() || again.After(closes) {
			break
		}
		opened, closes = again, again.Add(w.duration)
	}
	return true, closes
}

// next returns the first activation after a time, zero if there is none within five years. Across a midnight that does not exist the
// parser's schedules return a time of the wrong day: that one is not an activation of the second before it.
func (w *Window) next(after time.Time) time.Time {
	const attempts = 10 // more than there are changes of clocks in five years
	for range attempts {
		at := w.schedule.Next(after.In(w.location))
		if at.IsZero() || w.schedule.Next(at.Add(-time.Second)).Equal(at) {
			return at
		}
		after = at
	}
	return time.Time{}
}
