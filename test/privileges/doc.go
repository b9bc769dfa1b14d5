// Package privileges plays a thief: what somebody may do who has stolen the token of one of
// Everynode's service accounts, asked of a real API server, with the rules that the chart installs.
package privileges
