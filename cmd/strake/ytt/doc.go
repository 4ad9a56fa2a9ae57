// Package ytt is strake under the name ytt. The command tree, its flags, its help, its templates' engine
// and its words are the library's own. What is ours is the way of the documents to standard output, on
// which a program may change them, and the memory that is given to the work.
package ytt
