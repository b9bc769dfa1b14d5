package garbage

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	room := Room{Share: 25, Bytes: 64 << 20}
	tests := map[string]struct {
		inUse uint64
		want  int
	}{
		"nothing is known yet":        {0, 1600},
		"less than Go counts":         {1 << 20, 1600},
		"a small heap gets the bytes": {16 << 20, 400},
		"where both are the same":     {256 << 20, 25},
		"a large heap gets the share": {345 << 20, 25},
		"a heap beyond 32 bits":       {1 << 40, 25},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := room.percent(test.inUse); got != test.want {
				t.Errorf("percent(%d) = %d, want %d", test.inUse, got, test.want)
			}
		})
	}
}

// Whatever the live heap, the permitted garbage is the larger of the two parts of the room.
func TestRoomIsBounded(t *testing.T) {
	room := Room{Share: 25, Bytes: 64 << 20}
	for inUse := uint64(smallest); inUse < 2<<30; inUse += 3 << 20 {
		gathers := inUse * uint64(room.percent(inUse)) / 100
		most := max(room.Bytes, inUse*uint64(room.Share)/100)
		if gathers > most || gathers < most-inUse/100 { // a percentage is whole
			t.Fatalf("%d bytes in use: %d of garbage permitted, want %d", inUse, gathers, most)
		}
	}
}

func TestTuneSetsWhatChanged(t *testing.T) {
	var set []int
	tuner := &tuner{room: Room{Share: 25, Bytes: 64 << 20}, set: func(percent int) int {
		set = append(set, percent)
		return 0
	}}
	for _, megabytes := range []uint64{0, 16, 16, 17, 20, 250, 256, 300, 20} {
		tuner.tune(megabytes << 20)
	}
	want := []int{1600, 400, 320, 25, 320} // 17 MB differs by less than a tenth; the share, 25, is set whatever the difference
	if len(set) != len(want) {
		t.Fatalf("set %v, want %v", set, want)
	}
	for i := range want {
		if set[i] != want[i] {
			t.Fatalf("set %v, want %v", set, want)
		}
	}
}

func TestAfterEachCycle(_ *testing.T) {
	called := make(chan struct{}, 16)
	afterEachCycle(func() {
		select {
		case called <- struct{}{}:
		default: // cycles after this test
		}
	})
	for range 3 {
		runtime.GC()
		<-called
	}
}

// The user's GOGC is not changed.
func TestKeep(t *testing.T) {
	before := debug.SetGCPercent(77)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "77")
	Room{Share: 25, Bytes: 64 << 20}.Keep()
	runtime.GC()
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("GOGC is %d, want 77", got)
	}
	t.Setenv("GOGC", "")
	Room{Share: 25, Bytes: 64 << 20}.Keep()
	if got := debug.SetGCPercent(77); got != 1600 {
		t.Errorf("the percentage is %d, want 1600 before anything was collected", got)
	}
}
