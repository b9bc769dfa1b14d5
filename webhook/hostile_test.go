package webhook

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everynode/everynode/test/race"
)

// hostile are bodies that are cheap to send and expensive to decode or to validate.
func hostile(t testing.TB) map[string][]byte {
	repeated := func(item string, times int) string {
		return "[" + strings.Repeat(item+",", times-1) + item + "]"
	}
	numbered := func(format string, times int) string {
		items := make([]string, times)
		for i := range items {
			items[i] = fmt.Sprintf(format, i)
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	pod := func(field string) []string { return []string{"spec", "template", "spec", field} }
	limits := func(quantity string) wrong {
		return wrong{set: at("resources"), to: `{"limits":{"cpu":` + quantity + `}}`}
	}
	bodies := map[string][]byte{}
	for name, wrong := range map[string]wrong{
		"a small exponent":       limits(`"1e-40000000"`),
		"a large exponent":       limits(`"1e40000000"`),
		"a number's exponent":    limits(`1e-40000000`),
		"an exponent of zeros":   limits(`"1e-0000000040000000"`),
		"an escaped exponent":    limits(`"1\u0065-40000000"`),
		"a million digits":       limits(`"` + strings.Repeat("9", 1_000_000) + `"`),
		"a million decimals":     limits(`"0.` + strings.Repeat("9", 1_000_000) + `Ei"`),
		"a divisor":              {set: at("env"), to: `[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1e-40000000"}}}]`},
		"a volume's size":        {set: pod("volumes"), to: `[{"name":"v","emptyDir":{"sizeLimit":"1e-40000000"}}]`},
		"a claim's size":         {set: pod("volumes"), to: `[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"resources":{"requests":{"storage":"1e-40000000"}}}}}}]`},
		"overhead":               {set: pod("overhead"), to: `{"cpu":"1e-40000000"}`},
		"the pod's own limits":   {set: pod("resources"), to: `{"limits":{"cpu":"1e-40000000"}}`},
		"containers of nothing":  {set: pod("containers"), to: repeated("{}", 1_000_000)},
		"containers of zeros":    {set: pod("containers"), to: repeated("0", 1_500_000)},
		"many containers":        {set: pod("containers"), to: numbered(`{"name":"c%d","image":"a"}`, 20_000)},
		"ports that all overlap": {set: at("ports"), to: repeated(`{"containerPort":80}`, listLimit)},
		"constraints":            {set: pod("topologySpreadConstraints"), to: numbered(`{"maxSkew":1,"topologyKey":"k%d","whenUnsatisfiable":"DoNotSchedule"}`, 40_000)},
		"files that all overlap": {set: pod("volumes"), to: `[{"name":"v","configMap":{"name":"c","items":` + repeated(`{"key":"a","path":"a"}`, listLimit) + `}}]`},
		"variables":              {set: at("env"), to: repeated(`{"name":"A","value":"$(A)"}`, 80_000)},
		"terms":                  {set: pod("affinity"), to: `{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":` + repeated(`{"matchFields":[{"key":"metadata.name","operator":"In","values":["a"]}]}`, 30_000) + `}}}`},
		"tolerations":            {set: pod("tolerations"), to: repeated(`{"operator":"Exists"}`, 100_000)},
		"labels":                 {set: []string{"spec", "template", "metadata", "labels"}, to: "{" + strings.Repeat(`"":"",`, 400_000) + `"a":"b"}`},
		"depth":                  {set: pod("unknown"), to: strings.Repeat("[", 5000) + strings.Repeat("]", 5000)},
	} {
		bodies[name] = encode(t, with(t, validSet(), wrong))
	}
	return bodies
}

// decodeBudget bounds the processor time of one answer, garbage collection included. Most take a hundredth of it.
var decodeBudget = race.Limit(5 * time.Second)

// processorTime is what this process has used: other load on the machine does not count.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// Every body gets an answer, and leaves no unfinished work.
func TestHostileBodies(t *testing.T) {
	for name, set := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			for operation, asked := range map[string]*request{
				"create": createSet(set), "bring": updateSet(set, encode(t, validSet())), "keep": updateSet(bytes.Replace(set, []byte(`"spec":{`), []byte(`"spec":{"minReadySeconds":1,`), 1), set),
			} {
				before := processorTime(t)
				response, _ := (&validator{}).answer(t.Context(), asked)
				if took := processorTime(t) - before; took > decodeBudget {
					t.Errorf("%s: %v of processor time, want %v at most", operation, took, decodeBudget)
				}
				if operation == "keep" && !response.Allowed {
					t.Errorf("%s: refused: %s", operation, response.Result.Message)
				}
				if len(response.Warnings) > reportLimit || (response.Result != nil && len(response.Result.Details.Causes) > reportLimit+1) {
					t.Errorf("%s: %d warnings, result of %d bytes", operation, len(response.Warnings), len(response.Result.Message))
				}
			}
		})
	}
}
