// Package extension finds executables of others, tells whether they may be run, pins them, and runs them for
// steps: what the plugins exec and krm have in common. [strake.dev/strake/internal/confine] keeps them in their place.
package extension
