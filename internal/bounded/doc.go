// Package bounded decodes JSON from any user, in time and memory proportional to its length.
//
// Kubernetes' decoder alone does not: resource.Quantity computes ten to the power of any exponent, so that the
// eleven bytes 1e-40000000 take seconds, and every Quantity with such an exponent takes as long again when it
// is compared or written. And a list of empty structs takes hundreds of times its length in memory.
//
// Check finds both before anything is decoded. It walks the JSON once, along the type that it will be decoded
// into, and checks only values that will become quantities and the size of lists and maps: the value of an
// environment variable may be 1e-40000000. Kubernetes' decoder processes everything that Check accepts in time
// linear in the length of the data. It also refuses numbers out of range, wrong types and invalid syntax, and
// does so fast.
//
// The controller decodes stored objects with Unmarshal, and the webhook decodes objects that are about to be
// stored, so that both refuse the same ones with the same messages. The bounds are wider than those of the
// CRD's schema, because objects may have been stored under another schema, or without one.
package bounded
