// Package caches decides how the informers' caches decode objects and which part of them is kept, for most
// objects a small one. It also observes how well each cache follows the API server.
package caches
