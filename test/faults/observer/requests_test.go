package observer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Lines of an audit log, and what becomes of them.
func TestRequests(t *testing.T) {
	const controller = `"user":{"username":"system:serviceaccount:everynode-system:everynode-controller"}`
	const times = `"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.250000Z"`
	event := func(verb, uri, ref, rest string) string {
		return fmt.Sprintf(`{"stage":"ResponseComplete","verb":%q,"requestURI":%q,"objectRef":%s,%s,%s%s}`, verb, uri, ref, controller, times, rest)
	}
	const pod = `{"resource":"pods","namespace":"default","name":"a"}`
	const record = `{"resource":"controllerrevisions","apiGroup":"apps","namespace":"default","name":"r"}`
	tests := map[string]struct{ line, want string }{
		"a create": {
			event("create", "/api/v1/namespaces/default/pods", pod, `,"responseStatus":{"code":422,"reason":"Invalid"},"requestObject":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"nodeName":"n1"}}`),
			"create pods default/a 422 Invalid 250ms on n1",
		},
		"a dry run": {
			event("create", "/api/v1/namespaces/default/pods?dryRun=All", pod, `,"responseStatus":{"code":201}`),
			"create pods default/a 201  250ms dry",
		},
		"a delete with preconditions": {
			event("delete", "/api/v1/namespaces/default/pods/a", pod, `,"responseStatus":{"code":200},"requestObject":{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u","resourceVersion":"7"}}`),
			"delete pods default/a 200  250ms uid u version 7",
		},
		"a delete that was not read": {
			event("delete", "/api/v1/namespaces/default/pods/a", pod, `,"responseStatus":{"code":500,"message":"body closed by handler"}`),
			"delete pods default/a 500  250ms unread",
		},
		"a delete that failed": {
			event("delete", "/api/v1/namespaces/default/pods/a", pod, `,"responseStatus":{"code":500,"message":"etcdserver: no space"}`),
			"delete pods default/a 500  250ms",
		},
		"a delete without a body": {
			event("delete", "/api/v1/namespaces/default/pods/a", pod, `,"responseStatus":{"code":404,"reason":"NotFound"}`),
			"delete pods default/a 404 NotFound 250ms",
		},
		"a merge patch": {
			event("patch", "/x", record, `,"responseStatus":{"code":200},"requestObject":{"metadata":{"uid":"u","resourceVersion":"8","labels":null}}`),
			"patch controllerrevisions.apps default/r 200  250ms uid u version 8",
		},
		"a JSON patch": {
			event("patch", "/x", pod, `,"responseStatus":{"code":200},"requestObject":[{"op":"test","path":"/metadata/uid","value":"u"},{"op":"replace","path":"/spec","value":{}},{"op":"test","path":"/metadata/resourceVersion","value":"9"}]`),
			"patch pods default/a 200  250ms uid u version 9",
		},
		"a binding": {
			event("create", "/x", `{"resource":"pods","subresource":"binding","namespace":"default","name":"a"}`, `,"responseStatus":{"code":201},"requestObject":{"apiVersion":"v1","kind":"Binding","target":{"name":"n1"}}`),
			"create pods/binding default/a 201  250ms",
		},
		"no answer": {event("create", "/x", pod, ``), "create pods default/a 0  250ms"},
		"an impersonated user": {
			event("create", "/x", pod, `,"responseStatus":{"code":201},"impersonatedUser":{"username":"bystander"}`),
			"create pods default/a 201  250ms by bystander",
		},
		"another stage": {strings.Replace(event("create", "/x", pod, ``), "ResponseComplete", "RequestReceived", 1), ""},
	}
	decoder, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			const before = "{}\n"
			if err := os.WriteFile(path, []byte(before+test.line+"\n"+`{"half a line`), 0o600); err != nil {
				t.Fatal(err)
			}
			records, err := (&requests{decoder}).read(path, int64(len(before)))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, record := range records {
				r := record.Request
				if r.Subresource != "" {
					r.Resource += "/" + r.Subresource
				}
				got += fmt.Sprintf("%s %s %s/%s %d %s %s", r.Verb, r.Resource, r.Namespace, r.Name, r.Code, r.Reason, r.Took)
				if r.UID != "" {
					got += fmt.Sprintf(" uid %s version %s", r.UID, r.ResourceVersion)
				}
				if r.DryRun {
					got += " dry"
				}
				if r.Unread {
					got += " unread"
				}
				if pod, ok := r.Object.(*corev1.Pod); ok {
					got += " on " + pod.Spec.NodeName
				}
				if !strings.HasSuffix(r.User, "everynode-controller") {
					got += " by " + r.User
				}
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestResourceOf(t *testing.T) {
	for key, want := range map[string]string{
		"/registry/pods/default/a": "pods", "/registry/minions/n": "nodes", "/registry/daemonsets/x/y": "daemonsets.apps",
		"/registry/everynode.dev/daemonsets/x/y": "daemonsets.everynode.dev", "/registry/podtemplates/x/y": "", "/registry/events/x/pods": "",
	} {
		if got, _ := resourceOf(key); string(got) != want {
			t.Errorf("%s is of %q, want %q", key, got, want)
		}
	}
}
