// Package certs tests the webhook's certificate on a real API server: it is trusted and renewed without an
// interruption; and the effects of an invalid one.
package certs
