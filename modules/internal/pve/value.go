package pve

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Form is how Proxmox VE reads the value of an option, and so when two values of it are the same. The zero value is
// a Scalar.
type Form int

const (
	// Scalar is one value: a text, or what is written in more than one way (1, on, yes, true; 32G, 32768M).
	Scalar Form = iota
	// Text is compared letter by letter.
	Text
	// Fold is a text in which upper and lower case are the same: fingerprints, tags of guests.
	Fold
	// Set is a list whose order does not matter.
	Set
	// Properties are a property string: key=value pairs in any order.
	Properties
	// Path is a path of files.
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

// Truth reads a boolean as Proxmox VE does (PVE::JSONSchema::parse_boolean); ok is false where it is none.
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

// Flag is a boolean as Proxmox VE writes it.
func Flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// CanonicalScalar is the one spelling of a scalar: 1 and 0 of booleans, bytes of sizes, numbers without leading zeros.
func CanonicalScalar(text string) string {
	if on, ok := Truth(text); ok {
		return Flag(on)
	}
	if bytes, ok := Size(text); ok {
		return strconv.FormatInt(bytes, 10)
	}
	return text
}

var sizeForm = regexp.MustCompile(`^([0-9]{1,15})(\.[0-9]{1,3})?([KMGT]?)$`)

// Size is a size in bytes (PVE::JSONSchema::parse_size): a number, with K, M, G or T for powers of 1024.
func Size(text string) (bytes int64, ok bool) {
	parts := sizeForm.FindStringSubmatch(strings.ToUpper(text))
	if parts == nil || parts[2] != "" && parts[3] == "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(parts[1]+parts[2], 64)
	unit := map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[parts[3]]
	return int64(n * unit), err == nil && n*unit < 1<<62
}

// PropertiesOf reads a property string, the values in their canonical spelling. A value without a key belongs to
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

// Arguments returns the command line options that set the named options, and delete those of them that have no value.
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
