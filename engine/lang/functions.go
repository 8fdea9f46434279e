package lang

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"hlplay/modules"
)

// FunctionDoc documents one function of the language.
type FunctionDoc struct {
	Name string
	// Signature shows how the function is called: "join(separator, lists…)".
	Signature string
	// Doc is a single line.
	Doc string
}

// definition is a function with its documentation.
type definition struct {
	name, doc string
	// args replaces the parameter names in the signature if the library's are not descriptive; empty keeps them.
	args string
	f    function.Function
}

// Functions documents all functions by name, including those added by modules.
func Functions(specs []modules.Spec) []FunctionDoc {
	var docs []FunctionDoc
	for _, d := range definitions(caller{dir: "."}, newFiles(nil, specs, nil)) {
		args := d.args
		if args == "" {
			args = parameters(d.f)
		}
		docs = append(docs, FunctionDoc{Name: d.name, Signature: d.name + "(" + args + ")", Doc: d.doc})
	}
	slices.SortFunc(docs, func(a, b FunctionDoc) int { return strings.Compare(a.Name, b.Name) })
	return docs
}

func parameters(f function.Function) string {
	var names []string
	for _, p := range f.Params() {
		names = append(names, p.Name)
	}
	if p := f.VarParam(); p != nil {
		names = append(names, p.Name+"…")
	}
	return strings.Join(names, ", ")
}

func functionMap(all []definition) map[string]function.Function {
	m := make(map[string]function.Function, len(all))
	for _, d := range all {
		m[d.name] = linear(d.f)
	}
	return m
}

// definitions returns all functions as they are called from a given place.
func definitions(from caller, read *files) []definition {
	return slices.Concat(pureFunctions(), read.contributed, fileFunctions(from, read))
}

// pureFunctions returns the language's own functions that read no files.
func pureFunctions() []definition {
	return slices.Concat(numberFunctions, textFunctions, collectionFunctions, codecFunctions)
}

// contributed returns the functions that modules add.
func contributed(specs []modules.Spec) []definition {
	var all []definition
	for _, spec := range specs {
		for _, f := range spec.Functions {
			all = append(all, definition{f.Name, f.Doc, f.Arguments, f.Func})
		}
	}
	return all
}

var numberFunctions = []definition{
	{"abs", "The absolute value of a number.", "", stdlib.AbsoluteFunc},
	{"ceil", "The smallest integer greater than or equal to a number.", "", stdlib.CeilFunc},
	{"floor", "The largest integer less than or equal to a number.", "", stdlib.FloorFunc},
	{"log", "The logarithm of a number to a base.", "", stdlib.LogFunc},
	{"max", "The largest of the numbers.", "", stdlib.MaxFunc},
	{"min", "The smallest of the numbers.", "", stdlib.MinFunc},
	{"parseint", "The integer that a string represents in a base from 2 to 62.", "", stdlib.ParseIntFunc},
	{"pow", "A number raised to a power.", "", stdlib.PowFunc},
	{"signum", "-1, 0 or 1 for a number that is negative, zero or positive.", "", stdlib.SignumFunc},
	{"sum", "The sum of a list of numbers; an error if the list is empty.", "", sumFunc},
}

var textFunctions = []definition{
	{"chomp", "The string without trailing newlines.", "", stdlib.ChompFunc},
	{"endswith", "Whether a string ends with another.", "", endsWithFunc},
	{"format", `The values formatted as by printf: "%s: %d".`, "format, values…", narrow(stdlib.FormatFunc)},
	{"formatdate", `A timestamp in a format such as "YYYY-MM-DD hh:mm".`, "format, timestamp", stdlib.FormatDateFunc},
	{"formatlist", "A list of strings, one for each element, each formatted as by format.", "format, lists…", narrow(stdlib.FormatListFunc)},
	{"indent", "The string with all lines but the first indented by a number of spaces.", "spaces, string", indentFunc},
	{"join", "The elements of lists joined into one string by a separator.", "", joinFunc},
	{"lower", "The string in lower case.", "string", stdlib.LowerFunc},
	{"regex", "The first match of a regular expression (RE2): a string, or its capture groups; an error without a match.", "", stdlib.RegexFunc},
	{"regexall", "A list of all matches of a regular expression (RE2).", "", regexAllFunc},
	{"replace", `The string with all occurrences of another replaced; one between slashes, "/a+/", is a regular expression, and the replacement may then use $1.`, "", boundedReplaceFunc},
	{"sort", "The strings of a list, sorted.", "", stdlib.SortFunc},
	{"split", "The parts of a string between separators, as a list.", "separator, string", splitFunc},
	{"startswith", "Whether a string begins with another.", "", startsWithFunc},
	{"strcontains", "Whether a string contains another.", "", strContainsFunc},
	{"strrev", "The string with its characters in reverse order.", "string", stdlib.ReverseFunc},
	{"substr", "The part of a string at an offset, of a length; a negative offset counts from the end, and length -1 means the rest.", "string, offset, length", stdlib.SubstrFunc},
	{"timeadd", `A timestamp moved by a duration such as "10m".`, "timestamp, duration", stdlib.TimeAddFunc},
	{"title", "The string with the first letter of each word in upper case.", "string", stdlib.TitleFunc},
	{"trim", "The string without the given characters at both ends.", "string, characters", stdlib.TrimFunc},
	{"trimprefix", "The string without a prefix, if it has that prefix.", "string, prefix", stdlib.TrimPrefixFunc},
	{"trimspace", "The string without leading and trailing white space.", "string", stdlib.TrimSpaceFunc},
	{"trimsuffix", "The string without a suffix, if it has that suffix.", "string, suffix", stdlib.TrimSuffixFunc},
	{"upper", "The string in upper case.", "string", stdlib.UpperFunc},
}

var collectionFunctions = []definition{
	{"alltrue", "Whether all elements of a list are true; true for an empty one.", "", allTrueFunc},
	{"anytrue", "Whether any element of a list is true.", "", anyTrueFunc},
	{"chunklist", "The list cut into lists of a size.", "list, size", stdlib.ChunklistFunc},
	{"coalesce", "The first value that is not null.", "values…", stdlib.CoalesceFunc},
	{"coalescelist", "The first list that is not empty.", "lists…", stdlib.CoalesceListFunc},
	{"compact", "The list of strings without null and empty strings.", "", stdlib.CompactFunc},
	{"concat", "The elements of several lists in one list.", "lists…", stdlib.ConcatFunc},
	{"contains", "Whether a list or set has an element.", "list, value", stdlib.ContainsFunc},
	{"distinct", "The list without duplicates.", "", stdlib.DistinctFunc},
	{"element", "The element at an index; indices wrap around at the end of the list.", "list, index", stdlib.ElementFunc},
	{"flatten", "The list with nested lists replaced by their elements.", "", stdlib.FlattenFunc},
	{"index", "The index of the first element that equals a value; an error if there is none.", "list, value", indexFunc},
	{"keys", "The keys of a map, sorted.", "map", stdlib.KeysFunc},
	{"length", "The number of elements of a list, set, map or object, or of characters of a string.", "value", lengthFunc},
	{"lookup", "The value of a key of a map, or a default if it has no such key.", "map, key, default", lookupFunc},
	{"merge", "The maps or objects merged into one; later ones win.", "maps…", stdlib.MergeFunc},
	{"one", "The only element of a list or set, null if it is empty, an error if there are several.", "list", oneFunc},
	{"range", "A list of numbers: range(limit), range(start, limit) or range(start, limit, step).", "numbers…", stdlib.RangeFunc},
	{"reverse", "The list in reverse order.", "list", stdlib.ReverseListFunc},
	{"setintersection", "The elements that are in all sets.", "sets…", stdlib.SetIntersectionFunc},
	{"setproduct", "All combinations of one element of each set or list.", "sets…", setProductFunc},
	{"setsubtract", "The elements of a set that are not in another.", "", stdlib.SetSubtractFunc},
	{"setunion", "The elements that are in any of the sets.", "sets…", stdlib.SetUnionFunc},
	{"slice", "The elements from a start index up to, but not including, an end index.", "list, start, end", stdlib.SliceFunc},
	{"values", "The values of a map in the order of its keys.", "map", stdlib.ValuesFunc},
	{"zipmap", "A map made of a list of keys and a list of values.", "", stdlib.ZipmapFunc},
	{"can", "Whether an expression evaluates without an error.", "expression", tryfunc.CanFunc},
	{"try", "The value of the first expression that evaluates without an error.", "expressions…", tryfunc.TryFunc},
	{"nonsensitive", "The value without its sensitive mark, so that it is shown; only for values that disclose no secret.", "value", nonsensitiveFunc},
	{"sensitive", "The value marked as sensitive: it is redacted wherever it surfaces.", "value", sensitiveFunc},
	{"tobool", "The value as true or false.", "value", stdlib.MakeToFunc(cty.Bool)},
	{"tolist", "The value as a list.", "value", toCollection(cty.List(cty.DynamicPseudoType))},
	{"tomap", "The value as a map.", "value", stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType))},
	{"tonumber", "The value as a number.", "value", stdlib.MakeToFunc(cty.Number)},
	{"toset", "The value as a set.", "value", toCollection(cty.Set(cty.DynamicPseudoType))},
	{"tostring", "The value as a string.", "value", stdlib.MakeToFunc(cty.String)},
}

var codecFunctions = []definition{
	{"base64decode", "The text that a Base64 string encodes.", "", base64DecodeFunc},
	{"base64encode", "The string in Base64.", "", base64EncodeFunc},
	{"cidrcontains", `Whether an address lies in a network: cidrcontains("10.1.0.0/24", "10.1.0.5") is true.`, "", cidrContainsFunc},
	{"cidrhost", `The address of a host in a network: cidrhost("10.1.0.0/24", 5) is "10.1.0.5"; negative numbers count from the end.`, "", cidrHostFunc},
	{"cidrnetmask", `The mask of an IPv4 network: cidrnetmask("10.1.0.0/24") is "255.255.255.0".`, "", cidrNetmaskFunc},
	{"cidrsubnet", `A subnet of a network: cidrsubnet("10.1.0.0/16", 8, 2) is "10.1.2.0/24".`, "", cidrSubnetFunc},
	{"csvdecode", "A list of objects, one for each line of CSV; the first line names the attributes.", "string", data(stdlib.CSVDecodeFunc, func([]byte) error { return nil })},
	{"jsondecode", "The value that a JSON string encodes.", "string", data(stdlib.JSONDecodeFunc, shallow)},
	{"jsonencode", "The value as JSON.", "value", stdlib.JSONEncodeFunc},
	{"sha256", "The SHA-256 checksum of a string, in hexadecimal digits.", "", sha256Func},
	{"sha512", "The SHA-512 checksum of a string, in hexadecimal digits.", "", sha512Func},
	{"yamldecode", "The value that a YAML string encodes.", "string", data(yaml.YAMLDecodeFunc, fewAliases)},
	{"yamlencode", "The value as YAML.", "value", yaml.YAMLEncodeFunc},
}
