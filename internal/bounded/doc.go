// Package bounded decodes JSON that any user may have written, in time and memory that its length
// warrants.
//
// Kubernetes' decoder alone does not: resource.Quantity computes ten to the power of whatever
// exponent it is given, so that the eleven bytes 1e-40000000 take seconds, and every Quantity that
// keeps such an exponent takes as long again when it is compared or written. And a list of empty
// structs takes hundreds of times its length in memory.
//
// Check finds both before anything is decoded. It walks the JSON once, along the type that it is going
// to be decoded into, and looks at nothing but those values that will become quantities and at the size
// of what lists and maps will hold: the value of an environment variable may read 1e-40000000. What it
// accepts, Kubernetes' decoder takes or refuses in time linear in the length of the data. Numbers out
// of their field's range, wrong types and bad syntax are the decoder's to refuse, and it does so fast.
//
// The controller decodes what is stored and the webhook what is about to be by Unmarshal, so that both
// refuse the same, with the same words. The bounds are wider than those of the CRD's schema: they hold
// for what was stored under another schema, or under none.
package bounded
