// Package schema defines the files that users of strake write, and reads them strictly.
//
// A file is parsed into [Node]s, which remember their place, and nodes are decoded into Go structs
// by [Decode]. Every problem of a file is found in one pass and reported as a [Diagnostic] with
// file, line, column, field, and what to do about it.
//
// The package is a leaf: the engine, the stages and the plugins import it, and it imports none of
// them. A plugin declares its own configuration struct and has it decoded by this package, so that
// all of an App is checked by the same rules.
package schema
