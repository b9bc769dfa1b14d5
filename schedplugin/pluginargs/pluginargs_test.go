package pluginargs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

type args struct {
	Count int    `json:"count,omitempty"`
	Word  string `json:"word,omitempty"`
}

func TestDecode(t *testing.T) {
	tests := map[string]struct {
		args      runtime.Object
		want      args
		wantError string
	}{
		"no args":                 {want: args{Word: "default"}},
		"empty":                   {args: &runtime.Unknown{Raw: []byte(`{}`)}, want: args{Word: "default"}},
		"JSON":                    {args: &runtime.Unknown{Raw: []byte(`{"count": 3}`)}, want: args{Count: 3, Word: "default"}},
		"YAML":                    {args: &runtime.Unknown{Raw: []byte("word: other")}, want: args{Word: "other"}},
		"an unknown field":        {args: &runtime.Unknown{Raw: []byte(`{"cuont": 3}`)}, wantError: `plugin P: correct its args under pluginConfig`},
		"a value of a wrong type": {args: &runtime.Unknown{Raw: []byte(`{"count": "three"}`)}, wantError: "count"},
		"a typed object":          {args: &metav1.Status{}, wantError: "remove apiVersion and kind"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := args{Word: "default"}
			err := Decode("P", test.args, &got)
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Fatalf("error %v, want one with %q", err, test.wantError)
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

func TestNone(t *testing.T) {
	if err := None("P", nil); err != nil {
		t.Errorf("without args: %v", err)
	}
	if err := None("P", &runtime.Unknown{}); err == nil || !strings.Contains(err.Error(), "plugin P takes no arguments") {
		t.Errorf("with args: %v, want an error", err)
	}
}
