// Package notify writes events about daemons. Every pod that is created or deleted is named in an event, and a burst of
// thousands costs few requests: what has the same reason is collected for a second and written together.
package notify
