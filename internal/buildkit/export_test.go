package buildkit

// Preferred is [preferred], for tests outside of the package.
var Preferred = preferred
