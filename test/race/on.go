//go:build race

package race

// Enabled: memory and allocations are not those of the program.
const Enabled = true

const factor = 5
