package grafana

import (
	"encoding/json"
	"fmt"
)

// Columns of Grafana's grid.
const Columns = 24

// SchemaVersion of the JSON; the default of @grafana/schema 13.2.
const SchemaVersion = 42

// RefreshOnTimeRange makes a query variable be read again when the time range changes, so that it also knows what ended.
const RefreshOnTimeRange = 2

// DataSource points a panel or a variable at a data source; UID is a dashboard's variable, never a fixed id.
type DataSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Prometheus is the data source that the variable datasource names.
func Prometheus() DataSource { return DataSource{Type: "prometheus", UID: "${datasource}"} }

// Loki is the data source that the variable loki names.
func Loki() DataSource { return DataSource{Type: "loki", UID: "${loki}"} }

// BuiltIn is Grafana's own store of annotations; the only data source with a fixed id.
func BuiltIn() DataSource { return DataSource{Type: "grafana", UID: "-- Grafana --"} }

// Target is one query of a panel.
type Target struct {
	RefID      string     `json:"refId"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat,omitempty"`
	Instant    bool       `json:"instant,omitempty"`
	Range      bool       `json:"range,omitempty"`
	Format     string     `json:"format,omitempty"`    // table, time_series or heatmap
	QueryType  string     `json:"queryType,omitempty"` // range; only of Loki
	MaxLines   int        `json:"maxLines,omitempty"`  // only of Loki
	DataSource DataSource `json:"datasource"`
}

// GridPos is a place on the grid: height, width, left and top.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Step of thresholds: its color holds from Value on; nil: from minus infinity on.
type Step struct {
	Value *float64 `json:"value"`
	Color string   `json:"color"`
}

// Thresholds color values.
type Thresholds struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// Mapping shows a value in other words.
type Mapping struct {
	Type    string             `json:"type"`
	Options map[string]Meaning `json:"options"`
}

// Meaning is what a value is shown as.
type Meaning struct {
	Index int    `json:"index"`
	Text  string `json:"text"`
	Color string `json:"color,omitempty"`
}

// Link leads from a value to somewhere else.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Defaults are how the values of a panel are shown.
type Defaults struct {
	Unit       string         `json:"unit,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color,omitempty"`
	Thresholds *Thresholds    `json:"thresholds,omitempty"`
	Mappings   []Mapping      `json:"mappings,omitempty"`
	Links      []Link         `json:"links,omitempty"`
	// Custom belongs to the kind of panel.
	Custom map[string]any `json:"custom,omitempty"`
}

// Property is one setting of an Override.
type Property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

// Matcher chooses fields by name, by regular expression or otherwise.
type Matcher struct {
	ID      string `json:"id"`
	Options any    `json:"options"`
}

// Override shows some fields in another way.
type Override struct {
	Matcher    Matcher    `json:"matcher"`
	Properties []Property `json:"properties"`
}

// FieldConfig is how the values of a panel are shown, and which differ.
type FieldConfig struct {
	Defaults  Defaults   `json:"defaults"`
	Overrides []Override `json:"overrides"`
}

// Transformation changes what the queries brought before it is shown.
type Transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// Panel is one box. Dashboard.Add sets ID, the place, and each target's RefID and data source.
type Panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	GridPos         GridPos          `json:"gridPos"`
	DataSource      *DataSource      `json:"datasource,omitempty"`
	Targets         []Target         `json:"targets,omitempty"`
	Transformations []Transformation `json:"transformations,omitempty"`
	FieldConfig     *FieldConfig     `json:"fieldConfig,omitempty"`
	Options         map[string]any   `json:"options,omitempty"`
	// Collapsed and Panels belong to rows.
	Collapsed *bool    `json:"collapsed,omitempty"`
	Panels    *[]Panel `json:"panels,omitempty"`
}

// Option is one choice of a variable, in words and as it goes into queries.
type Option struct {
	Selected bool `json:"selected"`
	Text     any  `json:"text"`
	Value    any  `json:"value"`
}

// Variable of a dashboard.
type Variable struct {
	Name        string      `json:"name"`
	Label       string      `json:"label,omitempty"`
	Description string      `json:"description,omitempty"`
	Type        string      `json:"type"`
	Query       string      `json:"query"`
	Definition  string      `json:"definition,omitempty"`
	DataSource  *DataSource `json:"datasource,omitempty"`
	Refresh     int         `json:"refresh,omitempty"`
	Sort        int         `json:"sort,omitempty"`
	Multi       bool        `json:"multi,omitempty"`
	IncludeAll  bool        `json:"includeAll,omitempty"`
	AllValue    string      `json:"allValue,omitempty"`
	Current     *Option     `json:"current,omitempty"`
	Options     []Option    `json:"options,omitempty"`
}

// AnnotationTags chooses annotations of Grafana's own store.
type AnnotationTags struct {
	Type     string   `json:"type"`
	Tags     []string `json:"tags"`
	MatchAny bool     `json:"matchAny"`
	Limit    int      `json:"limit"`
}

// Annotation marks times in all charts of a dashboard.
type Annotation struct {
	Name        string          `json:"name"`
	DataSource  DataSource      `json:"datasource"`
	Enable      bool            `json:"enable"`
	Hide        bool            `json:"hide"`
	IconColor   string          `json:"iconColor"`
	Expr        string          `json:"expr,omitempty"`
	Step        string          `json:"step,omitempty"`
	TitleFormat string          `json:"titleFormat,omitempty"`
	TextFormat  string          `json:"textFormat,omitempty"`
	TagKeys     string          `json:"tagKeys,omitempty"`
	Target      *AnnotationTags `json:"target,omitempty"`
}

// DashboardLink is in the head of a dashboard and leads to those with its tags.
type DashboardLink struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Tags        []string `json:"tags"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

// Times is a dashboard's time range.
type Times struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Templating has the variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Annotations has the annotations.
type Annotations struct {
	List []Annotation `json:"list"`
}

// Dashboard is a whole dashboard. New makes it.
type Dashboard struct {
	UID           string          `json:"uid"`
	Title         string          `json:"title"`
	Description   string          `json:"description"`
	Tags          []string        `json:"tags"`
	Timezone      string          `json:"timezone"`
	Editable      bool            `json:"editable"`
	GraphTooltip  int             `json:"graphTooltip"`
	SchemaVersion int             `json:"schemaVersion"`
	Refresh       string          `json:"refresh"`
	Time          Times           `json:"time"`
	Templating    Templating      `json:"templating"`
	Annotations   Annotations     `json:"annotations"`
	Links         []DashboardLink `json:"links"`
	Panels        []Panel         `json:"panels"`

	// x and y are where the next panel goes; below is the first free line.
	x, y, below int
}

// New returns an empty dashboard that is read again every 30 s, shows a time in all its charts at once, and links to the others with the
// same tag.
func New(uid, title, description, tag, from string) *Dashboard {
	return &Dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{tag}, Timezone: "browser", GraphTooltip: 1,
		SchemaVersion: SchemaVersion, Refresh: "30s", Time: Times{From: from, To: "now"},
		Annotations: Annotations{List: []Annotation{}},
		Links: []DashboardLink{{
			Title: "Homeostat", Type: "dashboards", Tags: []string{tag}, Icon: "external link", Tooltip: "The other dashboards, with the same namespace and time",
			IncludeVars: true, KeepTime: true,
		}},
	}
}

// Add places each panel right of the one before, or on the next line where it does not fit, and numbers it and its queries.
func (d *Dashboard) Add(panels ...Panel) {
	for _, p := range panels {
		if d.x+p.GridPos.W > Columns {
			d.x, d.y = 0, d.below
		}
		p.GridPos.X, p.GridPos.Y = d.x, d.y
		d.x += p.GridPos.W
		d.below = max(d.below, d.y+p.GridPos.H)
		p.ID = len(d.Panels) + 1
		for i := range p.Targets {
			p.Targets[i].RefID, p.Targets[i].DataSource = string(rune('A'+i)), *p.DataSource
		}
		d.Panels = append(d.Panels, p)
	}
}

// Row begins a new line with a title, under which the panels up to the next one can be folded.
func (d *Dashboard) Row(title string) {
	d.x, d.y = 0, d.below
	open, none := false, []Panel{}
	d.Add(Panel{Type: typeRow, Title: title, GridPos: GridPos{H: 1, W: Columns}, Collapsed: &open, Panels: &none})
}

// JSON is the file that Grafana imports.
func (d *Dashboard) JSON() ([]byte, error) {
	out, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode dashboard %s: %w", d.UID, err)
	}
	return append(out, '\n'), nil
}
