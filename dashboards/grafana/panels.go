package grafana

// The kinds of panel.
const (
	typeRow        = "row"
	typeText       = "text"
	typeLogs       = "logs"
	typeTimeSeries = "timeseries"
	typeStat       = "stat"
	typeTable      = "table"
	typeTimeline   = "state-timeline"
)

// Query is a query over the time range, each of its series named by legend.
func Query(expr, legend string) Target { return Target{Expr: expr, Legend: legend, Range: true} }

// Now is a query at the end of the time range, as a table.
func Now(expr string) Target { return Target{Expr: expr, Instant: true, Format: "table"} }

// Series is a chart over time, half of the grid wide.
func Series(title, description, unit string, targets ...Target) Panel {
	p := metricPanel(typeTimeSeries, title, description, unit, GridPos{H: 8, W: Columns / 2}, targets)
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "palette-classic"}
	p.FieldConfig.Defaults.Custom = map[string]any{
		"drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "spanNulls": false,
	}
	if unit == "short" || unit == "cpm" {
		p.FieldConfig.Defaults.Custom["axisSoftMax"] = 1 // an axis for a line at zero otherwise goes to 100
	}
	p.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p
}

// Stacked is a chart over time whose series add up.
func Stacked(title, description, unit string, targets ...Target) Panel {
	p := Series(title, description, unit, targets...)
	p.FieldConfig.Defaults.Custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 40
	return p
}

// Bars draws a chart as bars, for series that come and go: a stacked area would reach over the gaps.
func (p Panel) Bars() Panel {
	p.FieldConfig.Defaults.Custom["drawStyle"] = "bars"
	return p
}

// Points draws a chart as points, for values that are there now and then.
func (p Panel) Points() Panel {
	p.FieldConfig.Defaults.Custom["drawStyle"], p.FieldConfig.Defaults.Custom["showPoints"], p.FieldConfig.Defaults.Custom["pointSize"] = "points", "always", 6
	return p
}

// Stat is one large number with the line of its past, an eighth of the grid wide.
func Stat(title, description, unit, expr string, colors Thresholds) Panel {
	p := metricPanel(typeStat, title, description, unit, GridPos{H: 4, W: 4}, []Target{Query(expr, "")})
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	p.FieldConfig.Defaults.Thresholds = &colors
	p.FieldConfig.Defaults.NoValue = "none"
	p.Options = map[string]any{
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"colorMode":     "value", "graphMode": "area", "justifyMode": "auto", "textMode": "value", "orientation": "auto",
		"wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
	}
	return p
}

// NameStat shows the legend of its newest series in place of a number.
func NameStat(title, description, expr, legend string) Panel {
	p := Stat(title, description, "none", expr, Plain())
	p.Targets[0] = Target{Expr: expr, Legend: legend, Instant: true}
	p.Options["textMode"], p.Options["graphMode"], p.Options["colorMode"] = "name", "none", "none"
	return p
}

// Table is a table of the labels and values of its queries, one line for each set of labels, over the whole width. The columns are named
// by columns, in their order: the labels as they are called, the value of query A as "Value #A". What has no name in it is left out.
func Table(title, description, unit string, columns []Column, targets ...Target) Panel {
	p := metricPanel(typeTable, title, description, unit, GridPos{H: 8, W: Columns}, targets)
	p.FieldConfig.Defaults.NoValue = "none"
	p.FieldConfig.Defaults.Custom = map[string]any{
		"align": "auto", "cellOptions": map[string]any{"type": "auto"}, "inspect": false, "filterable": true,
	}
	names, order, keep := map[string]any{}, map[string]any{}, make([]any, 0, len(columns))
	for i, c := range columns {
		names[c.Field], order[c.Field] = c.Name, i
		keep = append(keep, c.Field)
		if c.Properties != nil {
			p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{Matcher: Matcher{ID: "byName", Options: c.Name}, Properties: c.Properties})
		}
	}
	p.Transformations = []Transformation{
		{ID: "merge", Options: map[string]any{}},
		{ID: "filterFieldsByName", Options: map[string]any{"include": map[string]any{"names": keep}}},
		{ID: "organize", Options: map[string]any{"excludeByName": map[string]any{}, "indexByName": order, "renameByName": names}},
	}
	p.Options = map[string]any{"frameIndex": 0, "showHeader": true, "cellHeight": "sm", "sortBy": []any{}}
	return p
}

// Column of a table: the field, the name that it is shown with, and what is special about it.
type Column struct {
	Field, Name string
	Properties  []Property
}

// Timeline shows for each series when it had which value; a value of 1 is shown as on, and where there is no series it is empty.
func Timeline(title, description, on, color string, targets ...Target) Panel {
	p := metricPanel(typeTimeline, title, description, "none", GridPos{H: 8, W: Columns / 2}, targets)
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "fixed", "fixedColor": color}
	p.FieldConfig.Defaults.Mappings = []Mapping{{Type: "value", Options: map[string]Meaning{"1": {Text: on, Color: color}}}}
	p.FieldConfig.Defaults.Custom = map[string]any{"lineWidth": 0, "fillOpacity": 70}
	p.Options = map[string]any{
		"mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.8,
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "single", "sort": "none"},
	}
	return p
}

// Logs shows log lines, half of the grid wide.
func Logs(title, description, expr string) Panel {
	from := Loki()
	return Panel{
		Type: typeLogs, Title: title, Description: description, DataSource: &from, GridPos: GridPos{H: 8, W: Columns / 2},
		Targets:     []Target{{Expr: expr, QueryType: "range", MaxLines: 500}},
		FieldConfig: &FieldConfig{Overrides: []Override{}},
		Options: map[string]any{
			"showTime": true, "wrapLogMessage": true, "sortOrder": "Descending", "dedupStrategy": "none", "enableLogDetails": true,
			"prettifyLogMessage": false, "showCommonLabels": false, "showLabels": false, "showLogContextToggle": true,
		},
	}
}

// Text shows Markdown.
func Text(title, description, markdown string) Panel {
	return Panel{
		Type: typeText, Title: title, Description: description, GridPos: GridPos{H: 4, W: Columns},
		Options: map[string]any{"mode": "markdown", "content": markdown},
	}
}

func metricPanel(kind, title, description, unit string, at GridPos, targets []Target) Panel {
	from := Prometheus()
	return Panel{
		Type: kind, Title: title, Description: description, DataSource: &from, GridPos: at, Targets: targets,
		FieldConfig: &FieldConfig{Defaults: Defaults{Unit: unit}, Overrides: []Override{}},
	}
}

// Size returns the panel with another size.
func (p Panel) Size(width, height int) Panel {
	p.GridPos.W, p.GridPos.H = width, height
	return p
}

// Dashed draws the series of that legend as a dashed line without an area under it.
func (p Panel) Dashed(legend, color string) Panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
		Matcher: Matcher{ID: "byRegexp", Options: legend},
		Properties: []Property{
			{ID: "color", Value: map[string]any{"mode": "fixed", "fixedColor": color}},
			{ID: "custom.lineStyle", Value: map[string]any{"fill": "dash", "dash": []int{10, 6}}},
			{ID: "custom.fillOpacity", Value: 0},
		},
	})
	return p
}

// Unlisted leaves the series of that legend out of the list under the chart.
func (p Panel) Unlisted(legend string) Panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
		Matcher:    Matcher{ID: "byRegexp", Options: legend},
		Properties: []Property{{ID: "custom.hideFrom", Value: map[string]any{"legend": true, "tooltip": false, "viz": false}}},
	})
	return p
}

// Colored draws the series of that legend in that color.
func (p Panel) Colored(legend, color string) Panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
		Matcher:    Matcher{ID: "byRegexp", Options: legend},
		Properties: []Property{{ID: "color", Value: map[string]any{"mode": "fixed", "fixedColor": color}}},
	})
	return p
}

// Unfilled draws all series as lines without an area under them.
func (p Panel) Unfilled() Panel {
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 0
	return p
}

// TargetLine draws a line across a chart at that value.
func (p Panel) TargetLine(at float64, color string) Panel {
	p.FieldConfig.Defaults.Thresholds = &Thresholds{Mode: "absolute", Steps: []Step{{Color: "transparent"}, {Value: &at, Color: color}}}
	p.FieldConfig.Defaults.Custom["thresholdsStyle"] = map[string]any{"mode": "dashed"}
	return p
}

// Meanings shows values in words: the n-th word for the value n, beginning with 0; colors are those of the words.
func (p Panel) Meanings(words, colors []string) Panel {
	m := Mapping{Type: "value", Options: map[string]Meaning{}}
	for i, word := range words {
		m.Options[string(rune('0'+i))] = Meaning{Index: i, Text: word, Color: colors[i]}
	}
	p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, m)
	return p
}

// LinkTo adds a link to each value.
func (p Panel) LinkTo(title, url string) Panel {
	p.FieldConfig.Defaults.Links = append(p.FieldConfig.Defaults.Links, Link{Title: title, URL: url})
	return p
}

// Plain are thresholds that color nothing.
func Plain() Thresholds { return Thresholds{Mode: "absolute", Steps: []Step{{Color: "text"}}} }

// RedFrom are thresholds that are green, and red from that value on.
func RedFrom(at float64) Thresholds {
	return Thresholds{Mode: "absolute", Steps: []Step{{Color: "green"}, {Value: &at, Color: "red"}}}
}

// OrangeFrom are thresholds that are green, and orange from that value on.
func OrangeFrom(at float64) Thresholds {
	return Thresholds{Mode: "absolute", Steps: []Step{{Color: "green"}, {Value: &at, Color: "orange"}}}
}

// RedBelow are thresholds that are red, and green from that value on.
func RedBelow(at float64) Thresholds {
	return Thresholds{Mode: "absolute", Steps: []Step{{Color: "red"}, {Value: &at, Color: "green"}}}
}
