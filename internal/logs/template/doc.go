// Package template tells which kinds of line in a dead container's log are new: lines that differ only in their variable
// parts become one template, and a template is the newer the less it was in the logs of before and of healthy siblings.
//
// The clustering is that of "Drain: An Online Log Parsing Approach with Fixed Depth Tree" (He, Zhu, Zheng, Lyu; ICWS 2017):
// a tree of fixed depth by the number of tokens and the first tokens, in whose leaves a line joins the most similar
// template above a threshold, and tokens that differ become <*>. Four things differ from the paper. Numbers, identifiers,
// addresses, times and quoted strings are masked before. The level and words such as "refused" are a first step of the
// tree, so that a failure never melts into what it resembles. The lines of a stack trace are one line. And all lines are there before the first is placed, so
// they are placed in an order of their own: the result does not depend on the order of the lines, but for three things,
// which line is a template's example, which one is the last before the death, and which lines belong to one stack trace.
//
// Bounds: of each log the last maxLines lines, of a line the first maxTokens tokens, and maxTemplates templates; what does
// not fit in is not counted. Lines are expected to be clean and masked (package logs); that names of people and hosts vary
// is not known, so such lines become one template only where enough of their other words agree.
package template
