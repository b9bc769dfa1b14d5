package corpus

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// mistake is one change of testdata/lawful.yaml that apps/v1 refuses.
type mistake struct {
	path, value string // what is added by a JSON patch; the path is below spec.template.spec unless it begins with /
	// ours are the fields that everynode.dev names where they differ from apps/v1's; why is the reason.
	ours []string
	why  string
	// until is the first release of Kubernetes in which they no longer differ; "" if there is none.
	until string
}

const (
	container = "containers/0"
	listMap   = "the schema's list of unique keys names the entry, not its key"
)

var mistakes = map[string]mistake{
	"no image":                            {path: container + "/image", value: `""`},
	"image pull policy":                   {path: container + "/imagePullPolicy", value: `"Sometimes"`},
	"no container":                        {path: "containers", value: `[]`},
	"container name":                      {path: container + "/name", value: `"Main"`},
	"no container name":                   {path: container + "/name", value: `""`},
	"container twice":                     {path: "containers/-", value: `{"name":"main","image":"a"}`, ours: []string{"spec.template.spec.containers[2]"}, why: listMap},
	"init container of the same name":     {path: "initContainers", value: `[{"name":"main","image":"a"}]`},
	"init container with a probe":         {path: "initContainers", value: `[{"name":"init","image":"a","livenessProbe":{"exec":{"command":["a"]}}}]`},
	"init container restart policy":       {path: "initContainers", value: `[{"name":"init","image":"a","restartPolicy":"Sometimes"}]`},
	"ephemeral containers":                {path: "ephemeralContainers", value: `[{"name":"e","image":"a"}]`},
	"no port":                             {path: container + "/ports/0/containerPort", value: `0`},
	"port too high":                       {path: container + "/ports/0/containerPort", value: `70000`},
	"host port too high":                  {path: container + "/ports/0/hostPort", value: `70000`},
	"protocol":                            {path: container + "/ports/0/protocol", value: `"XYZ"`},
	"port name":                           {path: container + "/ports/0/name", value: `"Web Port"`},
	"port name twice":                     {path: container + "/ports/-", value: `{"name":"web","containerPort":81}`},
	"host network with another host port": {path: "hostNetwork", value: `true`},
	"variable name":                       {path: container + "/env/0/name", value: `"A=B"`},
	"variable with two sources":           {path: container + "/env/0/valueFrom", value: `{"fieldRef":{"fieldPath":"metadata.name"}}`},
	"variable of an unknown field":        {path: container + "/env/-", value: `{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.unknown"}}}`},
	"mount of no volume":                  {path: container + "/volumeMounts/0/name", value: `"other"`},
	"mount path twice":                    {path: container + "/volumeMounts/-", value: `{"name":"data","mountPath":"/data"}`, ours: []string{"spec.template.spec.containers[0].volumeMounts[1]"}, why: listMap},
	"mount sub path upwards":              {path: container + "/volumeMounts/0/subPath", value: `"../a"`},
	"volume with two sources":             {path: "volumes/0/hostPath", value: `{"path":"/a"}`},
	"volume twice":                        {path: "volumes/-", value: `{"name":"data","emptyDir":{}}`, ours: []string{"spec.template.spec.volumes[1]"}, why: listMap},
	"host path upwards":                   {path: "volumes", value: `[{"name":"data","hostPath":{"path":"/a/../b"}}]`},
	"config map without a name":           {path: "volumes", value: `[{"name":"data","configMap":{}}]`},
	"secret mode":                         {path: "volumes", value: `[{"name":"data","secret":{"secretName":"a","defaultMode":9999}}]`},
	"probe of nothing":                    {path: container + "/livenessProbe", value: `{}`},
	"probe of two":                        {path: container + "/livenessProbe", value: `{"exec":{"command":["a"]},"tcpSocket":{"port":80}}`},
	"probe period":                        {path: container + "/livenessProbe", value: `{"tcpSocket":{"port":80},"periodSeconds":-1}`},
	"liveness that takes two":             {path: container + "/livenessProbe", value: `{"tcpSocket":{"port":80},"successThreshold":2}`},
	"hook of nothing":                     {path: container + "/lifecycle", value: `{"postStart":{}}`},
	"request above the limit":             {path: container + "/resources", value: `{"requests":{"cpu":"2"},"limits":{"cpu":"1"}}`},
	"request below zero":                  {path: container + "/resources", value: `{"requests":{"cpu":"-1"}}`},
	"resource with an invalid name":       {path: container + "/resources", value: `{"requests":{"a b":"1"}}`},
	"user below zero":                     {path: container + "/securityContext", value: `{"runAsUser":-1}`},
	"privileged without escalation":       {path: container + "/securityContext", value: `{"privileged":true,"allowPrivilegeEscalation":false}`},
	"toleration of no key":                {path: "tolerations", value: `[{"operator":"Equal","value":"a"}]`},
	"toleration operator":                 {path: "tolerations", value: `[{"key":"a","operator":"Like"}]`},
	"toleration seconds":                  {path: "tolerations", value: `[{"key":"a","operator":"Exists","effect":"NoSchedule","tolerationSeconds":1}]`},
	"node affinity without values":        {path: "affinity", value: `{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In"}]}]}}}`},
	"node affinity without terms":         {path: "affinity", value: `{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}}`},
	"node affinity of an unknown field":   {path: "affinity", value: `{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"spec.a","operator":"In","values":["a"]}]}]}}}`},
	"pod affinity without topology":       {path: "affinity", value: `{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":""}]}}`},
	"spread without skew":                 {path: "topologySpreadConstraints", value: `[{"maxSkew":0,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule"}]`},
	"dns policy":                          {path: "dnsPolicy", value: `"Sometimes"`},
	"dns policy None without servers":     {path: "dnsPolicy", value: `"None"`},
	"host alias":                          {path: "hostAliases", value: `[{"ip":"1.2.3","hostnames":["a"]}]`},
	"node selector value":                 {path: "nodeSelector", value: `{"a":"b c"}`},
	"service account name":                {path: "serviceAccountName", value: `"A"`},
	"priority class name":                 {path: "priorityClassName", value: `"A b"`},
	"runtime class name":                  {path: "runtimeClassName", value: `"A b"`},
	"scheduling gate":                     {path: "schedulingGates", value: `[{"name":"a b"}]`},
	"readiness gate":                      {path: "readinessGates", value: `[{"conditionType":"a b"}]`},
	"processes shared and the host's":     {path: "shareProcessNamespace", value: `true`, ours: []string{"spec.template.spec.shareProcessNamespace"}, why: "apps/v1 reported it in the security context", until: "v1.37.0"},
	"operating system":                    {path: "os", value: `{"name":"plan9"}`},
	"sysctl":                              {path: "securityContext", value: `{"sysctls":[{"name":"a b","value":"1"}]}`},
	"label value":                         {path: "/spec/template/metadata/labels/b", value: `"b c"`},
	"annotation key":                      {path: "/spec/template/metadata/annotations", value: `{"a b":"c"}`},

	"restart policy":           {path: "restartPolicy", value: `"Never"`},
	"active deadline":          {path: "activeDeadlineSeconds", value: `1`},
	"empty selector":           {path: "/spec/selector", value: `{}`},
	"selector of other labels": {path: "/spec/selector", value: `{"matchLabels":{"app":"other"}}`},
	"selector operator":        {path: "/spec/selector", value: `{"matchExpressions":[{"key":"app","operator":"Like"}]}`, ours: []string{"spec.selector.matchExpressions", "spec.template.metadata.labels"}, why: "a CEL rule cannot name an entry of a list, and every rule is evaluated"},
	"two limits":               {path: "/spec/updateStrategy/rollingUpdate", value: `{"maxSurge":1,"maxUnavailable":1}`},
	"no limit":                 {path: "/spec/updateStrategy/rollingUpdate", value: `{"maxSurge":0,"maxUnavailable":0}`},
	"limit above all nodes":    {path: "/spec/updateStrategy/rollingUpdate", value: `{"maxUnavailable":"101%"}`},
	"limit of words":           {path: "/spec/updateStrategy/rollingUpdate", value: `{"maxUnavailable":"many"}`},
	"strategy":                 {path: "/spec/updateStrategy", value: `{"type":"Sometimes"}`, ours: []string{"spec.updateStrategy.type"}, why: "the schema's list of values names the field that holds it"},
	"ready below zero":         {path: "/spec/minReadySeconds", value: `-1`},
	"history below zero":       {path: "/spec/revisionHistoryLimit", value: `-1`},
}

// DaemonSets that apps/v1 refuses are refused here with the same fields in the causes, by the CRD's
// rules or else by the webhook.
func TestRefusalsNameTheSameFields(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "lawful.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lawful, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	c := labtest.Start(t, lab.Options{})
	for _, version := range []string{"apps/v1", ourVersion} {
		if fields := refusal(c, lawful, version); fields != nil {
			t.Fatalf("%s refuses the valid manifest: %v", version, fields)
		}
	}
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			c := c.With(t)
			manifest := mistake.in(t, lawful)
			theirs, ours := refusal(c, manifest, "apps/v1"), refusal(c, manifest, ourVersion)
			if theirs == nil {
				t.Fatal("apps/v1 takes it, so it proves nothing")
			}
			want := theirs
			if mistake.ours != nil && (mistake.until == "" || c.Before(mistake.until)) {
				want = mistake.ours
				if slices.Equal(theirs, ours) {
					t.Errorf("both name %v: remove the difference because %s", theirs, mistake.why)
				}
			}
			if diff := cmp.Diff(want, ours); diff != "" {
				t.Errorf("named fields (-want, +got):\n%s", diff)
			}
		})
	}
}

// in applies the mistake.
func (m mistake) in(t *testing.T, manifest []byte) []byte {
	t.Helper()
	path := m.path
	if !strings.HasPrefix(path, "/") {
		path = "/spec/template/spec/" + path
	}
	patch, err := jsonpatch.DecodePatch(fmt.Appendf(nil, `[{"op":"add","path":%q,"value":%s}]`, path, m.value))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := patch.Apply(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// refusal returns the fields that the API server names when a DaemonSet of a version is created
// in a dry run; nil if it is accepted.
func refusal(c *labtest.Cluster, manifest []byte, version string) []string {
	c.T.Helper()
	object := &unstructured.Unstructured{}
	c.Must(json.Unmarshal(manifest, &object.Object))
	object.SetAPIVersion(version)
	err := c.Create(c.T.Context(), object, client.DryRunAll)
	if err == nil {
		return nil
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		c.T.Fatalf("%s: %v; want a refusal that names fields", version, err)
	}
	named := map[string]bool{}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field != "<nil>" { // the API server reports that it did not evaluate all rules
			named[cause.Field] = true
		}
	}
	c.T.Logf("%s: %v", version, err)
	return slices.Sorted(maps.Keys(named))
}
