package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
)

const (
	mebibyte = 1 << 20
	page     = 4096
)

// hold allocates and touches memory. A stubborn one ignores SIGTERM: only the kubelet's SIGKILL, after the
// pod's grace period, ends it.
func hold(ctx context.Context, args []string) error {
	f := flags("hold")
	size := f.Int("mebibytes", 16, "how much")
	stubborn := f.Bool("stubborn", false, "ignore SIGTERM")
	_ = f.Parse(args) // exits on an error
	memory := make([]byte, *size*mebibyte)
	for i := 0; i < len(memory); i += page {
		memory[i] = 1
	}
	log.Printf("%s holds %d MiB", identity(), *size)
	<-ctx.Done()
	if *stubborn {
		deaf := make(chan os.Signal, 1)
		signal.Notify(deaf, syscall.SIGTERM, syscall.SIGINT)
		for {
			log.Printf("no")
			<-deaf
		}
	}
	log.Printf("released %d bytes", len(memory))
	return nil
}
