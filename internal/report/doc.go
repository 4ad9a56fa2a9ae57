// Package report says what a run has led to. A [Run] is folded from the run's events, and nothing of a
// report comes from anywhere else; the packages below this one render a Run, each in one format.
//
// Events are kept as lines of JSON, each a [Line], in the form in which --output json prints them: a
// [Store] keeps those of the last runs of a workspace.
package report
