// Package privileges tests what a stolen token of one of Everynode's service accounts permits, on a real API
// server with the chart's permissions.
package privileges
