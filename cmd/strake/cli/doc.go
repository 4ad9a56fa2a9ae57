// Package cli is strake's command line: commands that read flags, call package pipeline, and print
// what comes of it. It holds no logic of the tool's own.
//
// Results go to standard output, everything else to standard error. Under “--output json” standard
// output holds one JSON object a line: the events of the run ([stages.Event]) and, always last, one
// object of type “result” with the verdict of the command and its result.
//
// [Main] is all of a program's main function, also for a strake with more plugins than the
// compiled-in ones.
package cli
