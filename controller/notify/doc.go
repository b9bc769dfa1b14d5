// Package notify writes events about daemons. Every pod that is created or deleted is named in an event, and a
// burst of thousands costs few requests: entries with the same reason are collected for a second and written
// together.
package notify
