// Package expr evaluates the expressions of Pipelines: CEL, https://cel.dev, over what a run knows. What there
// is to name is declared by examples, whose types are those of the values to come, so that a wrong name or type
// is found before anything runs.
package expr
