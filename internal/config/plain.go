package config

import (
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// plain returns what the YAML library says of fields and types in one line, in words of the file instead of those of Go.
func plain(err error) error {
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return err
	}
	said := make([]string, 0, len(wrong.Errors))
	for _, s := range wrong.Errors {
		where, what, _ := strings.Cut(s, ": ")
		if name, _, unknown := strings.Cut(strings.TrimPrefix(what, "field "), " not found in type "); unknown {
			what = name + ": no such field: allowed are those of docs/configuration.md"
		} else if value, isType := strings.CutPrefix(what, "cannot unmarshal "); isType {
			if at := strings.LastIndex(value, " into "); at >= 0 {
				what = fmt.Sprintf("%s is not allowed: must be %s", given(value[:at]), wanted(value[at+len(" into "):]))
			}
		}
		said = append(said, where+": "+what)
	}
	return errors.New(strings.Join(said, "; "))
}

// given words a value as the library does, !!str `x` or !!seq.
func given(value string) string {
	tag, text, scalar := strings.Cut(value, " ")
	switch {
	case scalar:
		return text
	case tag == "!!seq":
		return "a list"
	default:
		return "a mapping"
	}
}

// wanted words a type of Go.
func wanted(kind string) string {
	switch {
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	case kind == "string":
		return "a text"
	case strings.HasPrefix(kind, "[]"):
		return "a list"
	default:
		return "a mapping"
	}
}
