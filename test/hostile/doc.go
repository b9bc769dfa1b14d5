// Package hostile tests what one user may store against what everybody else has: objects that no
// decoder can take, let in while nothing validated them.
package hostile
