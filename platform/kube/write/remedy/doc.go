// Package remedy carries out the remedies of the healing engine: each is one guarded request to the API server, or a few of which
// each may be sent again.
//
// Before it writes, it reads the object anew and compares what the decision was made from: the UID, and the value that is to be
// changed. The write then carries the resourceVersion that was read, so that whatever came in between makes the API server refuse
// it. What was changed already is not changed again: every remedy may be carried out a second time. With DryRun the same request
// is sent with dryRun=All. Nothing is deleted and nothing forced: a refused eviction stays refused.
//
// The package decides nothing and knows neither budgets nor policies. Rights that are missing are an outcome that names the
// component of deploy/ that gives them.
package remedy
