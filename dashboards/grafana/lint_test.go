package grafana

import (
	"slices"
	"strings"
	"testing"
)

// sound is a dashboard without a fault.
func sound() *Dashboard {
	d := New("sound", "Sound", "For tests.", "test", "now-1h")
	d.Templating.List = append(Sources(), Many("namespace", "Namespace", "label_values(up, namespace)"), One("job", "Job", `label_values(up{namespace=~"$namespace"}, job)`))
	d.Annotations.List = []Annotation{
		MarkMetric("Changes", "red", `changes(up{job="$job"}[$__rate_interval]) > 0`, "Change", "{{job}}"), MarkStored("Stored", "blue", "homeostat"),
	}
	d.Row("First")
	d.Add(
		Stat("One", "A number.", "short", `sum(up{job="$job"})`, RedFrom(1)),
		Series("Two", "A line.", "bytes", Query(`rate(x_total[$__rate_interval])`, "{{job}}"), Query("y", "y")).LinkTo("There", "/d/sound?var-job=${__data.fields.job}"),
		Table("Three", "A table.", "short", []Column{{Field: "job", Name: "job"}}, Now("up")),
		Logs("Four", "Lines.", `{namespace=~"$namespace"}`),
		Text("Five", "Words.", "# Words"),
	)
	return d
}

func TestLintOfASoundDashboardFindsNothing(t *testing.T) {
	t.Parallel()
	if found := Lint(sound()); len(found) > 0 {
		t.Fatal(strings.Join(found, "\n"))
	}
}

func TestLintFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(d *Dashboard)
		want  string
	}{
		"no uid":                  {func(d *Dashboard) { d.UID = "" }, "a dashboard needs a uid of at most 40 characters"},
		"too long a uid":          {func(d *Dashboard) { d.UID = strings.Repeat("x", 41) }, "a dashboard needs a uid of at most 40 characters"},
		"no description":          {func(d *Dashboard) { d.Description = "" }, "a dashboard needs a uid of at most 40 characters"},
		"editable":                {func(d *Dashboard) { d.Editable = true }, "a dashboard needs a uid of at most 40 characters"},
		"no links":                {func(d *Dashboard) { d.Links = nil }, "no link to the other dashboards"},
		"duplicate id":            {func(d *Dashboard) { d.Panels[2].ID = 2 }, "Two: the id 2 is not its own"},
		"duplicate title":         {func(d *Dashboard) { d.Panels[2].Title = "One" }, "One: another panel has this title"},
		"overlap":                 {func(d *Dashboard) { d.Panels[2].GridPos.X = 3 }, "Two: overlaps One"},
		"too wide":                {func(d *Dashboard) { d.Panels[3].GridPos.W = 25 }, "Three: does not lie on the grid of 24 columns"},
		"no height":               {func(d *Dashboard) { d.Panels[3].GridPos.H = 0 }, "Three: does not lie on the grid of 24 columns"},
		"row without a title":     {func(d *Dashboard) { d.Panels[0].Title = "" }, "panel 1: a row needs a title"},
		"panel without a title":   {func(d *Dashboard) { d.Panels[4].Title = "" }, "panel 5: needs a title and a description"},
		"without a description":   {func(d *Dashboard) { d.Panels[1].Description = "" }, "panel 2: needs a title and a description"},
		"no unit":                 {func(d *Dashboard) { d.Panels[1].FieldConfig.Defaults.Unit = "" }, "One: no unit"},
		"no fields":               {func(d *Dashboard) { d.Panels[1].FieldConfig = nil }, "One: no unit"},
		"dead panel":              {func(d *Dashboard) { d.Panels[2].Targets = nil }, "Two: it has no query"},
		"dead log panel":          {func(d *Dashboard) { d.Panels[4].Targets = nil }, "Four: it has no query"},
		"empty query":             {func(d *Dashboard) { d.Panels[2].Targets[1].Expr = "" }, "Two: it has an empty query"},
		"two queries of one id":   {func(d *Dashboard) { d.Panels[2].Targets[1].RefID = "A" }, `Two: the query's id "A" is not its own`},
		"empty text":              {func(d *Dashboard) { d.Panels[5].Options["content"] = "" }, "Five: no text"},
		"fixed data source":       {func(d *Dashboard) { d.Panels[1].Targets[0].DataSource.UID = "P1809F7C" }, "One: fixed data source P1809F7C"},
		"unknown data source":     {func(d *Dashboard) { d.Panels[1].Targets[0].DataSource.UID = "${prom}" }, "One: unknown variable prom"},
		"unknown variable":        {func(d *Dashboard) { d.Panels[1].Targets[0].Expr = `up{pod="${pod}"}` }, "One: unknown variable pod"},
		"fixed range":             {func(d *Dashboard) { d.Panels[1].Targets[0].Expr = `rate(x_total{job="$job"}[5m])` }, "One: a fixed range"},
		"fixed range over time":   {func(d *Dashboard) { d.Panels[1].Targets[0].Expr = `max_over_time(x[1h])` }, "One: a fixed range"},
		"refresh":                 {func(d *Dashboard) { d.Templating.List[2].Refresh = 1 }, "variable namespace: refresh is 1, must be 2"},
		"variable's data source":  {func(d *Dashboard) { d.Templating.List[2].DataSource = nil }, "variable namespace: no data source"},
		"all as a list":           {func(d *Dashboard) { d.Templating.List[2].AllValue = "" }, "variable namespace: all of it has no regular expression"},
		"variable without label":  {func(d *Dashboard) { d.Templating.List[2].Label = "" }, "variable namespace: no label"},
		"variable before its own": {func(d *Dashboard) { slices.Reverse(d.Templating.List) }, "variable job: unknown variable namespace"},
		"unused variable":         {func(d *Dashboard) { d.Templating.List = append(d.Templating.List, TextBox("more", "More", "")) }, "variable more: nothing uses it"},
		"annotation's query":      {func(d *Dashboard) { d.Annotations.List[0].Expr = "" }, "annotation Changes: needs a name, a query and a text"},
		"annotation's variable":   {func(d *Dashboard) { d.Annotations.List[0].Expr = "$nobody" }, "annotation Changes: unknown variable nobody"},
		"everybody's annotations": {func(d *Dashboard) { d.Annotations.List[1].Target.Tags = nil }, "annotation Stored: no tags"},
		"link to nowhere": {
			func(d *Dashboard) { d.Panels[2].FieldConfig.Defaults.Links[0].URL = "/d/elsewhere" }, "Two: the link /d/elsewhere leads to no dashboard of these",
		},
		"link's variable": {
			func(d *Dashboard) {
				d.Panels[3].FieldConfig.Overrides = []Override{{Properties: []Property{{ID: "links", Value: []Link{{URL: "/d/sound?var-x=${x}"}}}}}}
			}, "Three: unknown variable x",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := sound()
			tc.spoil(d)
			if got := Lint(d); !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, d.UID+": "+tc.want) }) {
				t.Fatalf("Lint = %q, want it to hold %q", got, tc.want)
			}
		})
	}
	t.Run("duplicate uid", func(t *testing.T) {
		t.Parallel()
		if got := Lint(sound(), sound()); !slices.Contains(got, "sound: another dashboard has this uid") {
			t.Fatalf("Lint = %q", got)
		}
	})
}

// Panels are placed side by side while they fit, and a row begins below the tallest of them.
func TestAddPlacesPanels(t *testing.T) {
	t.Parallel()
	d := New("u", "t", "d", "tag", "now-1h")
	d.Row("First")
	d.Add(Series("a", "", "s").Size(12, 8), Series("b", "", "s").Size(8, 4), Series("c", "", "s").Size(8, 3))
	d.Row("Second")
	d.Add(Series("e", "", "s").Size(24, 2))
	want := []GridPos{
		{H: 1, W: 24}, {H: 8, W: 12, Y: 1}, {H: 4, W: 8, X: 12, Y: 1}, {H: 3, W: 8, Y: 9}, {H: 1, W: 24, Y: 12}, {H: 2, W: 24, Y: 13},
	}
	for i, p := range d.Panels {
		if p.GridPos != want[i] || p.ID != i+1 {
			t.Errorf("panel %d is at %+v with the id %d, want %+v", i, p.GridPos, p.ID, want[i])
		}
	}
}
