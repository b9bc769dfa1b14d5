package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// serve answers every request with its own identity and the client's address.
func serve(ctx context.Context, args []string) error {
	f := flags("serve")
	address := f.String("listen", ":8080", "address")
	_ = f.Parse(args) // exits on an error
	return listen(ctx, *address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s client=%s\n", identity(), peer)
	}))
}
