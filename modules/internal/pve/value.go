package pve

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

// Form is how Proxmox VE interprets the value of an option, which determines whether two values are the same. The zero
// value is Scalar.
type Form int

const (
	// Scalar is a single value: text, or something that can be written in several ways (1, on, yes, true; 32G,
	// 32768M).
	Scalar Form = iota
	// Text is compared byte by byte.
	Text
	// Fold is text in which case does not matter: fingerprints, tags of guests.
	Fold
	// Set is a list whose order does not matter.
	Set
	// Properties is a property string: key=value pairs in any order.
	Properties
	// Path is a file path.
	Path
)

// Same reports whether two values mean the same.
func (f Form) Same(a, b string) bool {
	switch f {
	case Text:
		return a == b
	case Fold:
		return maps.Equal(List(strings.ToLower(a)), List(strings.ToLower(b)))
	case Set:
		return maps.Equal(List(a), List(b))
	case Properties:
		return maps.Equal(PropertiesOf(a, ""), PropertiesOf(b, ""))
	case Path:
		return CanonicalScalar(path.Clean(a)) == CanonicalScalar(path.Clean(b))
	}
	return CanonicalScalar(a) == CanonicalScalar(b)
}

// Truth parses a boolean like Proxmox VE (PVE::JSONSchema::parse_boolean); ok is false if the text is not a boolean.
func Truth(text string) (on, ok bool) {
	text = strings.ToLower(text)
	switch {
	case slices.Contains([]string{"1", "on", "yes", "true"}, text):
		return true, true
	case slices.Contains([]string{"0", "off", "no", "false"}, text):
		return false, true
	}
	return false, false
}

// Flag returns a boolean as Proxmox VE writes it.
func Flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// CanonicalScalar returns the canonical spelling of a scalar: 1 and 0 for booleans, bytes for sizes, numbers without
// leading zeros.
func CanonicalScalar(text string) string {
	if on, ok := Truth(text); ok {
		return Flag(on)
	}
	if bytes, ok := Size(text); ok {
		return strconv.FormatInt(bytes, 10)
	}
	return text
}

var sizeForm = pattern.New(`^([0-9]{1,15})(\.[0-9]{1,3})?([KMGT]?)$`)

// Size parses a size in bytes (PVE::JSONSchema::parse_size): a number with K, M, G or T for powers of 1024.
func Size(text string) (bytes int64, ok bool) {
	parts := sizeForm.FindStringSubmatch(strings.ToUpper(text))
	if parts == nil || parts[2] != "" && parts[3] == "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(parts[1]+parts[2], 64)
	unit := map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[parts[3]]
	return int64(n * unit), err == nil && n*unit < 1<<62
}

// PropertiesOf parses a property string into values in their canonical spelling. A value without a key is stored under
// fallback, the format's default key.
func PropertiesOf(text, fallback string) map[string]string {
	properties := map[string]string{}
	for _, item := range strings.Split(text, ",") {
		key, value, named := strings.Cut(strings.TrimSpace(item), "=")
		if !named {
			key, value = fallback, key
		}
		if key != "" || value != "" {
			properties[key] = CanonicalScalar(value)
		}
	}
	return properties
}

// Arguments returns the command line options that set the named options, and that delete those of them without a
// value.
func Arguments(options map[string]string, names []string) []string {
	var args, gone []string
	for _, key := range names {
		if options[key] == "" {
			gone = append(gone, key)
		} else {
			args = append(args, "--"+key, options[key])
		}
	}
	if len(gone) > 0 {
		args = append(args, "--delete", strings.Join(gone, ","))
	}
	return args
}
