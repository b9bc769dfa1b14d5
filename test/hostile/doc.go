// Package hostile tests the effect of one user's objects on all others: objects that no decoder accepts, stored
// while no validation was active.
package hostile
