package preemption

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/everynode/everynode/schedplugin/pluginargs"
)

func TestArgs(t *testing.T) {
	duration := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	tests := map[string]struct {
		args      string
		want      Args
		wantError string
	}{
		"none":                        {args: "{}", want: Args{duration(5 * time.Second), duration(15 * time.Minute)}},
		"the first":                   {args: "{refillBackoffInitial: 1m}", want: Args{duration(time.Minute), duration(15 * time.Minute)}},
		"both":                        {args: "{refillBackoffInitial: 1s, refillBackoffMax: 1s}", want: Args{duration(time.Second), duration(time.Second)}},
		"no wait":                     {args: "{refillBackoffInitial: 0s}", wantError: "refillBackoffInitial is 0s: set a duration above 0s"},
		"a negative wait":             {args: "{refillBackoffInitial: -1s}", wantError: "refillBackoffInitial is -1s"},
		"a maximum that is too short": {args: "{refillBackoffMax: 1s}", wantError: "refillBackoffMax is 1s: set at least refillBackoffInitial, 5s"},
		"not a duration":              {args: "{refillBackoffMax: soon}", wantError: "correct its args under pluginConfig"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := defaultArgs()
			err := pluginargs.Decode(Name, unknown(test.args), &got)
			if err == nil {
				err = got.validate()
			}
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Fatalf("error %v, want %q", err, test.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("args (-want, +got):\n%s", diff)
			}
		})
	}
}

func unknown(args string) runtime.Object { return &runtime.Unknown{Raw: []byte(args)} }
