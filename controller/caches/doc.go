// Package caches decides what the informers' caches keep of an object, and how it is decoded: of most objects a small part.
// It also observes how well each cache follows the API server.
package caches
