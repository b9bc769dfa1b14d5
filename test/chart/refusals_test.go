package chart

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Invalid values are refused with a message before anything is installed.
func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		options []string
		want    string
	}{
		"an unknown value":               {setting("placement.admision=policy"), "additional properties 'admision' not allowed"},
		"an unknown group":               {setting("webhok.replicas=3"), "additional properties 'webhok' not allowed"},
		"an unknown admission":           {setting("placement.admission=direct"), "at '/placement/admission': value must be one of 'webhook', 'policy', 'none'"},
		"an unknown source":              {setting("certificates.source=letsencrypt"), "at '/certificates/source': value must be one of 'auto', 'cert-manager', 'self-managed', 'files'"},
		"unknown workloads":              {setting("workloads=both"), "at '/workloads': value must be one of 'everynode', 'apps', 'everynode,apps'"},
		"an unknown scheduler":           {setting("scheduler.install=third"), "at '/scheduler/install': value must be one of 'secondary', 'primary', 'none'"},
		"no replica":                     {setting("controller.replicas=0"), "at '/controller/replicas': minimum: got 0, want 1"},
		"a format":                       {setting("logging.format=xml"), "at '/logging/format': value must be one of 'text', 'json'"},
		"a flag without dashes":          {setting("webhook.extraArgs={v=4}"), "at '/webhook/extraArgs/0': 'v=4' does not match pattern"},
		"a string for a boolean":         {[]string{"--set-string", "bootstrap.enabled=yes"}, "at '/bootstrap/enabled': got string, want boolean"},
		"a port":                         {setting("bootstrap.apiServer.port=70000"), "at '/bootstrap/apiServer/port': maximum: got 70,000, want 65,535"},
		"no port":                        {[]string{"--set-json", "networkPolicies.apiServerPorts=[]"}, "at '/networkPolicies/apiServerPorts': minItems: got 0, want 1"},
		"a toleration's operator":        {setting("tolerations[0].operator=In"), "at '/tolerations/0/operator': value must be one of"},
		"an image for a tag":             {setting("images.tag=everynode:1"), "at '/images/tag': 'everynode:1' does not match pattern"},
		"a CA that is not a certificate": {setting("certificates.caBundle=LS0t"), "at '/certificates/caBundle': 'LS0t' does not match pattern"},
		"files without a Secret":         {setting("certificates.source=files"), "certificates.source=files needs certificates.secretName"},
		"a Secret without files":         {setting("certificates.secretName=mine"), "certificates.secretName is for certificates.source=files, and the source is auto"},
		"a CA without files":             {append(setting("certificates.source=self-managed"), "--set-json", "certificates.caBundle="+theCA), "certificates.caBundle is for certificates.source=files"},
		"an unused address":              {setting("bootstrap.apiServer.host=10.0.0.1"), "bootstrap.apiServer.host is for bootstrap.enabled=true"},
		"nothing to monitor":             {setting("bootstrap.enabled=true", "placement.admission=none", "metrics.serviceMonitor.enabled=true"), "metrics.serviceMonitor.enabled has no metrics to scrape"},
		"a policy before 1.36":           {append(setting("placement.admission=policy"), "--kube-version", "1.35.4"), "placement.admission=policy needs Kubernetes 1.36 or later, and this is v1.35.4"},
		"a Kubernetes before 1.35":       {[]string{"--kube-version", "1.34.9"}, "chart requires kubeVersion: >=1.35.0-0"},
		"another namespace":              {[]string{"--namespace", "default"}, "everynode works only in the namespace everynode-system, not in default: pass --namespace everynode-system"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := template(t, test.options...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The schema knows the values that are documented, and no others.
func TestSchemaIsComplete(t *testing.T) {
	text, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Properties map[string]json.RawMessage
		// additionalProperties are refused where values are documented one by one.
		AdditionalProperties json.RawMessage
	}
	var known []string
	var walk func(prefix string, text []byte)
	walk = func(prefix string, text []byte) {
		var schema node
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		if schema.Properties == nil {
			known = append(known, prefix)
			return
		}
		if string(schema.AdditionalProperties) != "false" {
			t.Errorf("values.schema.json: unknown values under %q are not refused", prefix)
		}
		for name, below := range schema.Properties {
			walk(strings.TrimPrefix(prefix+"."+name, "."), below)
		}
	}
	walk("", text)
	want := []string{"global"} // helm's own
	for _, value := range documented(t) {
		want = append(want, value.path)
	}
	slices.Sort(known)
	slices.Sort(want)
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("values of values.yaml and of its schema (-want, +got):\n%s", diff)
	}
}

// The policy needs 1.36 or later, the webhook works with all versions.
func TestOldestVersions(t *testing.T) {
	for _, options := range [][]string{
		{"--kube-version", "1.35.0"},
		append(setting("placement.admission=policy"), "--kube-version", "1.36.0"),
	} {
		if _, err := template(t, options...); err != nil {
			t.Errorf("%v: %v", options, err)
		}
	}
}
