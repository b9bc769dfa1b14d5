package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// serve answers every request with who it is and who asked.
func serve(ctx context.Context, args []string) error {
	f := flags("serve")
	address := f.String("listen", ":8080", "address")
	_ = f.Parse(args) // ends the program
	return listen(ctx, *address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s client=%s\n", identity(), peer)
	}))
}
