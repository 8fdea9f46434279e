package boot

import (
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"hlplay/engine/observe"
)

// grubDefaults observes the files that grub-mkconfig sources, in this order (Debian's patch adds the directory). Its only
// name is "".
var grubDefaults = observe.TextFiles("grub-defaults", grubFile, grubDropIns+"*.cfg")

const (
	grubDropIns = "/etc/default/grub.d/"
	// allEntries and normalEntries are the variables that make up the command line: the first for all entries of the boot
	// menu, the second, appended to it, for all but the recovery entries.
	allEntries    = "GRUB_CMDLINE_LINUX"
	normalEntries = "GRUB_CMDLINE_LINUX_DEFAULT"
)

// assignment is an assignment of one of the two variables.
type assignment struct {
	file     int
	variable string
	// from and to are the offsets of the value in the file.
	from, to int
	// words are the blank-separated parts of the value, escaped as between double quotes in the shell.
	words   []string
	changed bool
}

// grubLine is the command line that GRUB's files define.
type grubLine struct {
	files []observe.TextFile
	// effective are the assignments that are in effect, in the order in which the shell makes them.
	effective []*assignment
}

// parseGRUB parses the files as a shell would, and rejects values that are known only by running them.
func parseGRUB(files []observe.TextFile) (*grubLine, error) {
	g := &grubLine{files: files}
	for i, f := range files {
		parsed, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(f.Content), f.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot parse the file as a shell script; correct it by hand", err)
		}
		plain := map[*syntax.Assign]bool{}
		for _, stmt := range parsed.Stmts {
			call, ok := stmt.Cmd.(*syntax.CallExpr)
			if !ok || len(call.Args) > 0 || stmt.Negated || stmt.Background || len(stmt.Redirs) > 0 {
				continue
			}
			for _, a := range call.Assigns {
				plain[a] = a.Index == nil
			}
		}
		var fault error
		syntax.Walk(parsed, func(node syntax.Node) bool {
			a, ok := node.(*syntax.Assign)
			if !ok || fault != nil {
				return fault == nil
			}
			variable := ""
			if a.Name != nil {
				variable = a.Name.Value
			}
			if variable != allEntries && variable != normalEntries {
				return true
			}
			words, ok := quotedWords(a, f.Content)
			if !plain[a] || !ok {
				fault = fmt.Errorf("%s:%d: the value of %s depends on more than this line: expected a plain assignment such as %[3]s=\"quiet\"; edit the parameters there by hand", f.Path, a.Pos().Line(), variable)
				return false
			}
			g.add(&assignment{file: i, variable: variable, from: int(a.Name.End().Offset()) + len("="), to: int(a.End().Offset()), words: words})
			return true
		})
		if fault != nil {
			return nil, fault
		}
	}
	return g, nil
}

// add puts an assignment into effect. Unless it extends the variable, it replaces earlier ones.
func (g *grubLine) add(a *assignment) {
	if !slices.ContainsFunc(a.words, a.isSelf) {
		g.effective = slices.DeleteFunc(g.effective, func(other *assignment) bool { return other.variable == a.variable })
	}
	g.effective = append(g.effective, a)
}

// isSelf reports whether a word refers to the variable's previous value.
func (a *assignment) isSelf(word string) bool {
	return word == "$"+a.variable || word == "${"+a.variable+"}"
}

// quotedWords returns the words of an assignment's value, escaped as between double quotes. It fails for a value that is
// known only by running the script.
func quotedWords(a *syntax.Assign, text string) ([]string, bool) {
	if a.Append || a.Array != nil {
		return nil, false
	}
	if a.Value == nil {
		return nil, true
	}
	var quoted strings.Builder
	inside := func(parts []syntax.WordPart) bool {
		for _, part := range parts {
			switch part := part.(type) {
			case *syntax.Lit:
				quoted.WriteString(part.Value)
			case *syntax.ParamExp:
				raw := text[part.Pos().Offset():part.End().Offset()]
				if name := part.Param.Value; raw != "$"+name && raw != "${"+name+"}" {
					return false
				}
				quoted.WriteString(raw)
			default:
				return false
			}
		}
		return true
	}
	for _, part := range a.Value.Parts {
		switch part := part.(type) {
		case *syntax.DblQuoted:
			if part.Dollar || !inside(part.Parts) {
				return nil, false
			}
		case *syntax.SglQuoted:
			if part.Dollar {
				return nil, false
			}
			quoted.WriteString(escape(part.Value))
		case *syntax.Lit:
			if strings.Contains(part.Value, `\`) {
				return nil, false
			}
			quoted.WriteString(part.Value)
		default:
			if !inside([]syntax.WordPart{part}) {
				return nil, false
			}
		}
	}
	return splitQuoted(quoted.String()), true
}

// escape escapes a text for use between double quotes in the shell.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(text)
}

// unescape reverses escape.
func unescape(quoted string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, "$", "\\`", "`", "\\\n", "").Replace(quoted)
}

// splitQuoted splits a text between double quotes into parameters, which remain escaped.
func splitQuoted(quoted string) []string {
	var words []string
	for _, parameter := range split(strings.ReplaceAll(strings.ReplaceAll(quoted, "\\\n", ""), `\"`, `"`)) {
		words = append(words, strings.ReplaceAll(parameter, `"`, `\"`))
	}
	return words
}

// parameters returns the parameters of the command line in order. References to other variables are returned as written.
func (g *grubLine) parameters() []string {
	var line []string
	for _, variable := range []string{allEntries, normalEntries} {
		var value []string
		for _, a := range g.effective {
			if a.variable != variable {
				continue
			}
			var next []string
			for _, word := range a.words {
				if a.isSelf(word) {
					next = append(next, value...)
				} else {
					next = append(next, unescape(word))
				}
			}
			value = next
		}
		line = append(line, value...)
	}
	return line
}

// edit removes the parameters with the given names from the line and appends others.
func (g *grubLine) edit(leave, added []string) {
	var last *assignment
	for _, a := range g.effective {
		before := len(a.words)
		a.words = slices.DeleteFunc(a.words, func(word string) bool { return slices.Contains(leave, nameOf(unescape(word))) })
		a.changed = a.changed || len(a.words) != before
		if a.variable == normalEntries {
			last = a
		}
	}
	if len(added) == 0 {
		return
	}
	if last == nil {
		last = &assignment{file: -1, variable: normalEntries}
		g.effective = append(g.effective, last)
	}
	for _, parameter := range added {
		last.words = append(last.words, escape(parameter))
	}
	last.changed = true
}

// changes returns the new content of the files that an edit has changed.
func (g *grubLine) changes() []observe.TextFile {
	contents := map[int]string{}
	// Backwards, so that the earlier offsets stay valid.
	for _, a := range slices.Backward(slices.SortedFunc(slices.Values(g.effective), func(a, b *assignment) int { return a.from - b.from })) {
		if !a.changed || a.file < 0 {
			continue
		}
		text, ok := contents[a.file]
		if !ok {
			text = g.files[a.file].Content
		}
		contents[a.file] = text[:a.from] + `"` + strings.Join(a.words, " ") + `"` + text[a.to:]
	}
	var changed []observe.TextFile
	for i, f := range g.files {
		if text, ok := contents[i]; ok {
			changed = append(changed, observe.TextFile{Path: f.Path, Content: text})
		}
	}
	for _, a := range g.effective {
		if a.file >= 0 {
			continue
		}
		added := fmt.Sprintf("%s=\"%s\"\n", a.variable, strings.Join(a.words, " "))
		isMain := func(f observe.TextFile) bool { return f.Path == grubFile }
		if at := slices.IndexFunc(changed, isMain); at >= 0 {
			changed[at].Content = ended(changed[at].Content) + added
			continue
		}
		text := ""
		if main := slices.IndexFunc(g.files, isMain); main >= 0 {
			text = ended(g.files[main].Content)
		}
		changed = append(changed, observe.TextFile{Path: grubFile, Content: text + added})
	}
	return changed
}

// ended returns a text in the shell's language, to which a line can be appended: the last line has an end, and no backslash
// continues it.
func ended(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	last := strings.TrimSuffix(text, "\n")
	if backslashes := len(last) - len(strings.TrimRight(last, `\`)); backslashes%2 == 1 {
		text += "\n"
	}
	return text
}
