// Package stages defines the contracts between the engine and the plugins: what a [Step] may read
// and write, what it tells while it runs, and what more it may be able to do.
//
// A plugin is described by a [Plugin] value, best made with [Define], and put into a [Registry] in
// plain sight; there is no registration on import. It knows its stage's contract and its own tool,
// and neither the engine nor any other plugin.
//
// A run has three phases, and side effects are fenced by them: binding (reading the configuration;
// nothing outside is touched), checking ([Checker]; only reading), and running.
package stages
