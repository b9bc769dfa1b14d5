package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// ask queries URLs one after the other, at an interval, and prints each answer as a line. With --each it
// queries every address of a URL's host name, for a headless Service.
func ask(ctx context.Context, args []string) error {
	f := flags("ask")
	interval := f.Duration("every", time.Second, "time between two rounds")
	each := f.Bool("each", false, "query every address of a host name")
	_ = f.Parse(args) // exits on an error
	if f.NArg() == 0 {
		return fmt.Errorf("ask: give a URL")
	}
	every(ctx, *interval, func(ctx context.Context) {
		for _, target := range f.Args() {
			if err := round(ctx, target, *each); err != nil {
				log.Print(err)
			}
		}
	})
	return nil
}

func round(ctx context.Context, target string, each bool) error {
	targets := []string{target}
	if each {
		var err error
		if targets, err = addresses(ctx, target); err != nil {
			return err
		}
	}
	for _, target := range targets {
		if err := get(ctx, target); err != nil {
			return err
		}
	}
	return nil
}

// addresses returns a URL for each address of its host name.
func addresses(ctx context.Context, target string) ([]string, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupHost(ctx, parsed.Hostname())
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	log.Printf("%s has %d addresses: %v", parsed.Hostname(), len(found), found)
	var targets []string
	for _, address := range found {
		one := *parsed
		one.Host = net.JoinHostPort(address, parsed.Port())
		targets = append(targets, one.String())
	}
	return targets, nil
}

func get(ctx context.Context, target string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return err
	}
	log.Printf("%s: %s", target, text)
	return nil
}
