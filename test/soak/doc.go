// Package soak runs Everynode under churn for a given time, and shows that memory, goroutines and the writes for each round of
// churn do not grow.
package soak
