package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The collector shows the last report of each node, and rejects reports without a node.
func TestCollector(t *testing.T) {
	c := &collector{byNode: map[string]message{}}
	handler := http.NewServeMux()
	handler.HandleFunc("POST /", c.take)
	handler.HandleFunc("GET /", c.show)
	server := httptest.NewServer(handler)
	defer server.Close()

	last := message{Node: "n1", Pod: "p2", Count: 2}
	for _, sent := range []message{{Node: "n1", Pod: "p1", Count: 1}, {Node: "n2", Pod: "q", Count: 7}, last} {
		if err := push(t.Context(), server.URL, sent); err != nil {
			t.Fatal(err)
		}
	}
	if err := push(t.Context(), server.URL, message{Pod: "lost"}); err == nil || !strings.Contains(err.Error(), "no report with a node") {
		t.Errorf("a report without a node: error %v, want one about the missing node", err)
	}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var shown map[string]message
	if err := json.NewDecoder(response.Body).Decode(&shown); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]message{"n1": last, "n2": {Node: "n2", Pod: "q", Count: 7}}, shown); diff != "" {
		t.Errorf("reports of the collector (-want, +got):\n%s", diff)
	}
}

func TestAddresses(t *testing.T) {
	targets, err := addresses(t.Context(), "http://localhost:8080/path")
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) == 0 {
		t.Fatal("localhost has no address")
	}
	for _, target := range targets {
		parsed, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if host := parsed.Hostname(); (host != "127.0.0.1" && host != "::1") || parsed.Port() != "8080" || parsed.Path != "/path" {
			t.Errorf("%s is not localhost's address at the same port and path", target)
		}
	}
}
