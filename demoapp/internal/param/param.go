// Package param reads the query parameters of a request against a declared list of them.
// The declaration is data, so the error of a bad request, the list of endpoints and the documentation
// all state the same limits. It knows nothing of HTTP beyond the query string, and nothing of what a
// parameter is for.
package param

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Kind says how the text of a parameter is read.
type Kind int

const (
	// Integer is a whole number from Min to Max.
	Integer Kind = iota
	// Number is a decimal number from Min to Max.
	Number
	// Flag is 1, true, 0 or false.
	Flag
	// Choice is one of Choices, in any case of letters.
	Choice
	// Text is any valid UTF-8 text of at most Max bytes.
	Text
)

// Spec declares one parameter.
type Spec struct {
	// Name is the key in the query string.
	Name string
	// Kind says how the value is read.
	Kind Kind
	// Default is the value used when the parameter is not given, in the form a user would type. Empty
	// means the zero value of the kind.
	Default string
	// Min is the lowest allowed value of an Integer or a Number.
	Min float64
	// Max is the highest allowed value of an Integer or a Number, and the longest Text in bytes.
	Max float64
	// Choices are the allowed values of a Choice, in lower case.
	Choices []string
	// Unit is the unit of the value for people, such as MiB/s. Empty means a plain number.
	Unit string
	// Doc says in one clause what the parameter does.
	Doc string
}

// Set is the list of the parameters that one endpoint knows.
type Set []Spec

// Values are the parameters of one request: the given ones and the defaults of the others.
type Values struct {
	numbers map[string]float64
	texts   map[string]string
	given   map[string]string
}

// Error says which parameter was refused, what its value was and what is allowed.
type Error struct {
	// Parameter is the name as the user gave it.
	Parameter string
	// Value is the refused value, cut after 64 bytes.
	Value string
	// Allowed is what would have been accepted, for people.
	Allowed string
	// Reason is one clause that says what is wrong.
	Reason string
}

// Error implements the error interface.
func (e *Error) Error() string {
	return fmt.Sprintf("parameter %s=%q: %s; allowed: %s", e.Parameter, e.Value, e.Reason, e.Allowed)
}

// Refuse returns the error for a value that is valid alone but not in this request.
func Refuse(parameter, value, allowed, reason string) *Error {
	const longest = 64
	if len(value) > longest {
		value = strings.ToValidUTF8(value[:longest], "") + "..."
	}
	return &Error{Parameter: parameter, Value: value, Allowed: allowed, Reason: reason}
}

// Allowed describes the accepted values, for example "an integer from 1 to 64 (MiB)".
func (s Spec) Allowed() string {
	var text string
	switch s.Kind {
	case Integer:
		text = "an integer from " + bound(s.Min) + " to " + bound(s.Max)
	case Number:
		text = "a number from " + bound(s.Min) + " to " + bound(s.Max)
	case Flag:
		return "1, true, 0 or false"
	case Choice:
		return "one of " + strings.Join(s.Choices, ", ")
	case Text:
		return "text of at most " + bound(s.Max) + " bytes"
	}
	if s.Unit != "" {
		text += " (" + s.Unit + ")"
	}
	return text
}

func bound(v float64) string {
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Parse reads a raw query string. It fails with an *Error that names the first bad parameter in
// alphabetical order: one that is unknown, given twice, not of its kind, or out of its range.
func (set Set) Parse(rawQuery string) (Values, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Values{}, Refuse("(query)", rawQuery, "name=value pairs joined by &, percent-encoded", "the query string cannot be read")
	}
	values := Values{numbers: map[string]float64{}, texts: map[string]string{}, given: map[string]string{}}
	for _, spec := range set {
		if spec.Default == "" {
			continue
		}
		if err := values.read(spec, spec.Default); err != nil {
			return Values{}, fmt.Errorf("read default: %w", err)
		}
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		spec, known := set.find(name)
		if !known {
			return Values{}, Refuse(name, query.Get(name), set.names(), "there is no such parameter here")
		}
		if len(query[name]) > 1 {
			return Values{}, Refuse(name, strings.Join(query[name], ","), "one value", "the parameter is given more than once")
		}
		if err := values.read(spec, query.Get(name)); err != nil {
			return Values{}, err
		}
		values.given[name] = query.Get(name)
	}
	return values, nil
}

func (set Set) find(name string) (Spec, bool) {
	for _, spec := range set {
		if spec.Name == name {
			return spec, true
		}
	}
	return Spec{}, false
}

func (set Set) names() string {
	if len(set) == 0 {
		return "no parameters"
	}
	names := make([]string, len(set))
	for i, spec := range set {
		names[i] = spec.Name
	}
	return strings.Join(names, ", ")
}

func (v Values) read(spec Spec, text string) error {
	refuse := func(reason string) error { return Refuse(spec.Name, text, spec.Allowed(), reason) }
	switch spec.Kind {
	case Integer:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return refuse("not an integer")
		}
		if float64(n) < spec.Min || float64(n) > spec.Max {
			return refuse("out of range")
		}
		v.numbers[spec.Name] = float64(n)
	case Number:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return refuse("not a number")
		}
		if math.IsNaN(n) || n < spec.Min || n > spec.Max {
			return refuse("out of range")
		}
		v.numbers[spec.Name] = n
	case Flag:
		switch strings.ToLower(text) {
		case "1", "true":
			v.numbers[spec.Name] = 1
		case "0", "false":
			v.numbers[spec.Name] = 0
		default:
			return refuse("not a flag")
		}
	case Choice:
		if !slices.Contains(spec.Choices, strings.ToLower(text)) {
			return refuse("not a choice")
		}
		v.texts[spec.Name] = strings.ToLower(text)
	case Text:
		if float64(len(text)) > spec.Max || strings.ToValidUTF8(text, "") != text {
			return refuse("too long, or not UTF-8")
		}
		v.texts[spec.Name] = text
	}
	return nil
}

// Int returns the value of an Integer.
func (v Values) Int(name string) int { return int(v.numbers[name]) }

// Float returns the value of a Number.
func (v Values) Float(name string) float64 { return v.numbers[name] }

// Flag reports whether a Flag is set.
func (v Values) Flag(name string) bool { return v.numbers[name] != 0 }

// Text returns the value of a Choice or a Text.
func (v Values) Text(name string) string { return v.texts[name] }

// Given reports whether the request itself gave the parameter.
func (v Values) Given(name string) bool {
	_, given := v.given[name]
	return given
}

// Raw returns the parameter as the request gave it, or "".
func (v Values) Raw(name string) string { return v.given[name] }
