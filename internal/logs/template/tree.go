package template

import (
	"slices"
	"strings"
)

const (
	// depth is how many leading tokens are steps of the tree. The paper recommends a depth of 3 to 5 nodes, of which one is the
	// number of tokens; here another one is the severity.
	depth = 2
	// maxChildren of a node of the tree, as the paper's maxChild: more first tokens than that share one node.
	maxChildren = 100
	// similar is the share of the tokens of a line that must be in the template. The paper's 0.4 is for lines that are not masked
	// before, where most tokens may vary; here what varies is masked, and a line must agree in what is left.
	similar = 0.7
	// maxTemplates bounds the templates of all logs together.
	maxTemplates = 2000
)

// cluster is one template and the groups of equal lines in it.
type cluster struct {
	severity severity
	tokens   []string
	groups   []*group
}

func (c *cluster) String() string { return strings.Join(c.tokens, " ") }

// tree is the fixed-depth tree: severity and number of tokens, then the first tokens, then clusters.
type tree struct {
	roots map[[2]int]*node
	size  int
}

type node struct {
	children map[string]*node
	clusters []*cluster
}

func newTree() *tree { return &tree{roots: map[[2]int]*node{}} }

// add puts the group where it fits best. Where there is no room for one more template, it is left out.
func (t *tree) add(g *group) {
	leaf := t.leaf(g)
	var best *cluster
	var bestScore float64
	for _, c := range leaf.clusters {
		if s := similarity(c.tokens, g.tokens); s >= similar && s > bestScore {
			best, bestScore = c, s
		}
	}
	if best == nil {
		if t.size == maxTemplates {
			return
		}
		t.size++
		best = &cluster{severity: g.severity, tokens: slices.Clone(g.tokens)}
		leaf.clusters = append(leaf.clusters, best)
	}
	for i, tok := range g.tokens {
		if best.tokens[i] != tok {
			best.tokens[i] = wild
		}
	}
	best.groups = append(best.groups, g)
}

func (t *tree) leaf(g *group) *node {
	key := [2]int{int(g.severity), len(g.tokens)}
	n := t.roots[key]
	if n == nil {
		n = &node{}
		t.roots[key] = n
	}
	for _, tok := range g.tokens[:min(depth, len(g.tokens))] {
		if strings.Contains(tok, wild) || strings.ContainsAny(tok, "0123456789") {
			tok = wild
		}
		next := n.children[tok]
		if next == nil && len(n.children) >= maxChildren {
			tok = wild
			next = n.children[tok]
		}
		if next == nil {
			next = &node{}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[tok] = next
		}
		n = next
	}
	return n
}

// similarity is the share of the line's constant tokens that the template has in the same place. Both have the same length.
func similarity(template, line []string) float64 {
	constant, same := 0, 0
	for i, tok := range line {
		if tok == wild {
			if template[i] != wild {
				constant++
			}
			continue
		}
		constant++
		if template[i] == tok {
			same++
		}
	}
	if constant == 0 {
		return 1
	}
	return float64(same) / float64(constant)
}
