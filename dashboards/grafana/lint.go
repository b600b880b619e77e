package grafana

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Lint lists what is wrong with the dashboards, each finding with the dashboard's uid in front; nil where nothing is. It parses no query.
func Lint(all ...*Dashboard) []string {
	l := linter{uids: map[string]bool{}}
	for _, d := range all {
		if l.uids[d.UID] {
			l.uid = d.UID
			l.add("another dashboard has this uid")
		}
		l.uids[d.UID] = true
	}
	for _, d := range all {
		l.dashboard(d)
	}
	return l.found
}

type linter struct {
	found []string
	uids  map[string]bool
	// uid, known and used belong to the dashboard that is looked at.
	uid   string
	known map[string]bool
	used  map[string]bool
}

func (l *linter) add(format string, args ...any) {
	l.found = append(l.found, l.uid+": "+fmt.Sprintf(format, args...))
}

func (l *linter) dashboard(d *Dashboard) {
	l.uid = d.UID
	if d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.Description == "" || d.Editable || len(d.Tags) == 0 {
		l.add("a dashboard needs a uid of at most 40 characters, a title, a description and a tag, and must not be editable")
	}
	if len(d.Links) == 0 {
		l.add("no link to the other dashboards")
	}
	l.variables(d.Templating.List)
	for _, a := range d.Annotations.List {
		l.annotation(a)
	}
	ids, titles, taken := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	for i := range d.Panels {
		p := &d.Panels[i]
		if ids[p.ID] || p.ID <= 0 {
			l.add("%s: the id %d is not its own", p.Title, p.ID)
		}
		if titles[p.Title] && p.Type != typeRow {
			l.add("%s: another panel has this title", p.Title)
		}
		ids[p.ID], titles[p.Title] = true, p.Type != typeRow
		l.place(p, taken)
		l.panel(p)
	}
	for _, v := range d.Templating.List {
		if !l.used[v.Name] {
			l.add("variable %s: nothing uses it", v.Name)
		}
	}
}

func (l *linter) variables(list []Variable) {
	l.known, l.used = map[string]bool{}, map[string]bool{}
	for _, name := range []string{"__rate_interval", "__interval", "__range", "__url_time_range", "__data", "__value", "__field"} {
		l.known[name] = true
	}
	for _, v := range list {
		// A variable may use those before it.
		l.references("variable "+v.Name, v.Query)
		if v.Type == "query" {
			l.queryVariable(v)
		}
		l.known[v.Name] = true
	}
}

func (l *linter) queryVariable(v Variable) {
	if v.Refresh != RefreshOnTimeRange {
		l.add("variable %s: refresh is %d, must be %d", v.Name, v.Refresh, RefreshOnTimeRange)
	}
	if v.DataSource == nil {
		l.add("variable %s: no data source", v.Name)
	} else {
		l.source("variable "+v.Name, *v.DataSource)
	}
	if v.IncludeAll && v.AllValue == "" {
		l.add("variable %s: all of it has no regular expression, and would be a list as long as the cluster is large", v.Name)
	}
	if v.Label == "" {
		l.add("variable %s: no label", v.Name)
	}
}

func (l *linter) annotation(a Annotation) {
	where := "annotation " + a.Name
	if a.DataSource == BuiltIn() {
		if a.Target == nil || len(a.Target.Tags) == 0 {
			l.add("%s: no tags, so it would show everybody's", where)
		}
		return
	}
	if a.Expr == "" || a.Name == "" || a.TextFormat == "" {
		l.add("%s: needs a name, a query and a text", where)
	}
	l.source(where, a.DataSource)
	l.query(where, a.Expr)
}

func (l *linter) place(p *Panel, taken map[[2]int]string) {
	g := p.GridPos
	if g.W <= 0 || g.H <= 0 || g.X < 0 || g.Y < 0 || g.X+g.W > Columns {
		l.add("%s: does not lie on the grid of %d columns", p.Title, Columns)
		return
	}
	over := map[string]bool{}
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			if other, ok := taken[[2]int{x, y}]; ok && !over[other] {
				over[other] = true
				l.add("%s: overlaps %s", p.Title, other)
			}
			taken[[2]int{x, y}] = p.Title
		}
	}
}

func (l *linter) panel(p *Panel) {
	switch p.Type {
	case typeRow:
		if p.Title == "" {
			l.add("panel %d: a row needs a title", p.ID)
		}
		return
	case typeText:
		if content, _ := p.Options["content"].(string); content == "" {
			l.add("%s: no text", p.Title)
		}
	case typeLogs:
		l.targets(p)
	default:
		if p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == "" {
			l.add("%s: no unit", p.Title)
		}
		l.targets(p)
	}
	if p.Title == "" || p.Description == "" {
		l.add("panel %d: needs a title and a description", p.ID)
	}
	if p.FieldConfig != nil {
		l.links(p)
	}
}

func (l *linter) targets(p *Panel) {
	if p.DataSource == nil || len(p.Targets) == 0 {
		l.add("%s: it has no query", p.Title)
	}
	refs := map[string]bool{}
	for _, t := range p.Targets {
		if t.Expr == "" {
			l.add("%s: it has an empty query", p.Title)
		}
		if refs[t.RefID] || t.RefID == "" {
			l.add("%s: the query's id %q is not its own", p.Title, t.RefID)
		}
		refs[t.RefID] = true
		l.source(p.Title, t.DataSource)
		l.query(p.Title, t.Expr)
	}
}

var (
	reference  = regexp.MustCompile(`\$\{?(\w+)`)
	fixedRange = regexp.MustCompile(`\b(rate|increase|irate|changes|delta|[a-z]+_over_time)\([^()]*\[\d`)
	linkedUID  = regexp.MustCompile(`^/d/([^/?]+)`)
)

func (l *linter) query(where, expr string) {
	l.references(where, expr)
	if fixedRange.MatchString(expr) {
		l.add("%s: a fixed range; use $__rate_interval, $__interval or $__range", where)
	}
}

func (l *linter) references(where, text string) {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		l.used[m[1]] = true
		if !l.known[m[1]] {
			l.add("%s: unknown variable %s", where, m[1])
		}
	}
}

func (l *linter) source(where string, s DataSource) {
	name, ok := strings.CutPrefix(s.UID, "${")
	if !ok || !strings.HasSuffix(name, "}") {
		l.add("%s: fixed data source %s", where, s.UID)
		return
	}
	l.references(where, s.UID)
}

func (l *linter) links(p *Panel) {
	links := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if more, ok := property.Value.([]Link); ok {
				links = append(links, more...)
			}
		}
	}
	for _, link := range links {
		m := linkedUID.FindStringSubmatch(link.URL)
		if m == nil || !l.uids[m[1]] {
			l.add("%s: the link %s leads to no dashboard of these", p.Title, link.URL)
		}
		l.references(p.Title, link.URL)
	}
}
