// Package names holds the tests of strake under the names of other programs: what it prints, writes and
// exits with is compared with the program itself, built from the module that strake embeds.
package names
