package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

// message is what a reporter pushes.
type message struct {
	Node string `json:"node"`
	Pod  string `json:"pod"`
	// Count is how often this reporter has pushed, including this time.
	Count int `json:"count"`
}

// report pushes at an interval. After a failure it tries again at the next one.
func report(ctx context.Context, args []string) error {
	f := flags("report")
	to := f.String("to", "", "URL of the collector")
	interval := f.Duration("every", time.Second, "time between two reports")
	_ = f.Parse(args) // exits on an error
	if *to == "" {
		return fmt.Errorf("report: --to is missing: set it to the collector's URL")
	}
	sent := message{Node: os.Getenv("NODE"), Pod: os.Getenv("POD")}
	every(ctx, *interval, func(ctx context.Context) {
		sent.Count++
		if err := push(ctx, *to, sent); err != nil {
			log.Print(err)
		}
	})
	return nil
}

func push(ctx context.Context, to string, sent message) error {
	body, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("%s: %s: %s", to, response.Status, text)
	}
	return nil
}

// collector keeps the last report of each node.
type collector struct {
	mu     sync.Mutex
	byNode map[string]message
}

// collect accepts reports (POST) and returns the last one of each node (GET).
func collect(ctx context.Context, args []string) error {
	f := flags("collect")
	address := f.String("listen", ":8080", "address")
	_ = f.Parse(args) // exits on an error
	c := &collector{byNode: map[string]message{}}
	handler := http.NewServeMux()
	handler.HandleFunc("POST /", c.take)
	handler.HandleFunc("GET /", c.show)
	return listen(ctx, *address, handler)
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	var got message
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1024)).Decode(&got); err != nil || got.Node == "" {
		http.Error(w, fmt.Sprintf("no report with a node (%v)", err), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.byNode[got.Node]; !known {
		log.Printf("first report of node %s, pod %s", got.Node, got.Pod)
	}
	c.byNode[got.Node] = got
	w.WriteHeader(http.StatusNoContent)
}

func (c *collector) show(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(c.byNode); err != nil {
		log.Print(err)
	}
}
