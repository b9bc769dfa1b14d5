// Package certs tests the webhook's certificate on a real API server: who makes it has it trusted and
// renews it, and nobody notices; and what somebody notices when it is no good.
package certs
