package grafana

// All is how Grafana writes the choice of everything.
const All = "$__all"

// Sources are the variables for the data sources, Prometheus and Loki.
func Sources() []Variable {
	return []Variable{
		{Name: "datasource", Label: "Prometheus", Type: "datasource", Query: "prometheus", Refresh: 1},
		{Name: "loki", Label: "Loki", Type: "datasource", Query: "loki", Refresh: 1},
	}
}

// One is a variable with one of the values that the query finds in Prometheus, in alphabetical order.
func One(name, label, query string) Variable {
	from := Prometheus()
	return Variable{
		Name: name, Label: label, Type: "query", Query: query, Definition: query, DataSource: &from, Refresh: RefreshOnTimeRange, Sort: 1,
	}
}

// Many is a variable with any of the values that the query finds in Prometheus, at first all.
func Many(name, label, query string) Variable {
	v := One(name, label, query)
	v.Multi, v.IncludeAll, v.AllValue = true, true, ".*"
	v.Current = &Option{Selected: true, Text: []string{"All"}, Value: []string{All}}
	return v
}

// TextBox is a variable that is typed in; empty at first.
func TextBox(name, label, description string) Variable {
	return Variable{
		Name: name, Label: label, Description: description, Type: "textbox",
		Current: &Option{Selected: true, Text: "", Value: ""}, Options: []Option{{Selected: true, Text: "", Value: ""}},
	}
}

// MarkMetric marks the times at which a query of Prometheus is above zero, looked at every minute. Title and text may name labels in
// double braces.
func MarkMetric(name, color, expr, title, text string) Annotation {
	return Annotation{Name: name, DataSource: Prometheus(), Enable: true, IconColor: color, Expr: expr, Step: "1m", TitleFormat: title, TextFormat: text}
}

// MarkLines marks the times of the lines that a query of Loki finds. Title and text may name labels in double braces.
func MarkLines(name, color, expr, title, text, tags string) Annotation {
	return Annotation{Name: name, DataSource: Loki(), Enable: true, IconColor: color, Expr: expr, TitleFormat: title, TextFormat: text, TagKeys: tags}
}

// MarkStored marks the annotations of Grafana's own store that have all of the tags.
func MarkStored(name, color string, tags ...string) Annotation {
	return Annotation{
		Name: name, DataSource: BuiltIn(), Enable: true, IconColor: color,
		Target: &AnnotationTags{Type: "tags", Tags: tags, Limit: 100},
	}
}
