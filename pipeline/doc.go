// Package pipeline is the engine: it compiles an App or a Pipeline into a [Plan] of bound steps,
// and runs the plan over a workspace.
//
// Compiling has no side effects and reports every problem of the file at once. Running checks all
// steps before the first one starts, runs them in order, leaves out those whose inputs have not
// changed since the workspace's last run, and writes the lock file once everything is resolved and
// before anything is deployed. Whatever happens is told to a [stages.Observer]; the run record in
// the workspace says how it ended.
package pipeline
