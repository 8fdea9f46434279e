package lang

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/pattern"
	"hlplay/modules"
)

// guideStep matches the guide's step numbers at the beginning of a task name: "G1.26 create the cluster".
var guideStep = pattern.New(`^G\d+\.\d+(?: G\d+\.\d+)*\b`)

// Find returns the tasks and handlers that word refers to: those with that name, or else those whose name contains it,
// ignoring case, or that implement the step of a guide with that number.
func (p *Playbook) Find(word string) []*Task {
	var exact, similar []*Task
	for _, play := range p.Plays {
		for _, t := range play.AllTasks() {
			switch steps := strings.Fields(guideStep.FindString(t.Name)); {
			case t.Name == word:
				exact = append(exact, t)
			case len(steps) > 0 && guideStep.FindString(word) == word: // G1.2 is not G1.20
				for _, step := range steps {
					if step == word {
						similar = append(similar, t)
						break
					}
				}
			case strings.Contains(strings.ToLower(t.Name), strings.ToLower(word)):
				similar = append(similar, t)
			}
		}
	}
	if exact != nil {
		return exact
	}
	return similar
}

// Explain describes a task in a few lines: where it is, why it is there, which step of a guide it implements, what it
// does and when, and how the result is verified.
func (p *Playbook) Explain(t *Task) string {
	var b strings.Builder
	row := func(label, text string) {
		for i, line := range strings.Split(text, "\n") {
			if i > 0 {
				label = ""
			}
			fmt.Fprintf(&b, "  %-10s%s\n", label, line)
		}
	}
	kind := "task"
	if t.handler {
		kind = "handler"
	}
	fmt.Fprintf(&b, "%s %q\n", kind, t.Name)
	row("where", fmt.Sprintf("%s, in play %q on %s", lineOf(t.Range), t.play.Name, t.play.Hosts))
	if why := p.comment(t.Range); why != "" {
		row("why", why)
	}
	if steps := guideStep.FindString(t.Name); steps != "" {
		row("guide", strings.Join(strings.Fields(steps), ", ")+"; docs/coverage.md says where hlplay differs")
	}
	row("what", fmt.Sprintf("%s: %s (hlplay doc %s)", t.Module.Name, t.Module.Summary, t.Module.Name))
	for _, g := range t.deciding() {
		row("when", fmt.Sprintf("group %q: when %s", g.Name, p.text(g.When.Range())))
	}
	if t.When != nil {
		row("when", p.text(t.When.Range()))
	}
	if t.ForEach != nil {
		row("for each", p.text(t.ForEach.Range()))
	}
	if t.RunOnce {
		row("runs", "once, on one host on behalf of all")
	}
	if t.Delegated() {
		on := t.delegate.same
		if on == "" {
			on = p.text(t.delegate.at)
		}
		row("acts", "on "+on+", for one of its hosts at a time")
	}
	if len(t.Tags) > 0 {
		row("tags", strings.Join(t.Tags, ", "))
	}
	if len(t.Notify) > 0 {
		row("notifies", strings.Join(t.Notify, ", ")+", if it changes something")
	}
	if t.Register != "" {
		row("registers", "result."+t.Register)
	}
	row("verified", verified(t))
	if t.Until != nil {
		row("", "and until is true: "+p.text(t.Until.Range()))
	}
	if source := p.block(t.Range); source != "" {
		b.WriteString("\n" + source + "\n")
	}
	return b.String()
}

// verified says how the engine knows that a task is done. It does not take the task's arguments into account.
func verified(t *Task) string {
	module := t.Module.New()
	if m, ok := module.(modules.Reader); ok && m.OnlyReads() {
		return "it changes nothing; it fails if the host is not as the task requires"
	}
	if _, ok := module.(modules.Opaque); ok {
		return "by the exit code of the program, and by creates, removes, unless or only_if if the task has one of them"
	}
	return "after its steps the host is read and the task planned again; it fails if anything is left to do"
}

// text returns the source of a range on one line.
func (p *Playbook) text(r hcl.Range) string {
	file := p.Files[r.Filename]
	if file == nil || !r.CanSliceBytes(file.Bytes) {
		return ""
	}
	return oneLine(string(r.SliceBytes(file.Bytes)))
}

// comment returns the comment directly above a block.
func (p *Playbook) comment(r hcl.Range) string {
	file := p.Files[r.Filename]
	if file == nil {
		return ""
	}
	lines := strings.Split(string(file.Bytes), "\n")
	end := min(r.Start.Line-1, len(lines))
	from := end
	for from > 0 && marked(lines[from-1]) {
		from--
	}
	var text []string
	for _, line := range lines[from:end] {
		text = append(text, strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "#/")))
	}
	return strings.Join(text, "\n")
}

// marked reports whether a line consists of a comment only.
func marked(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//")
}

// block returns the source of the block with the given header.
func (p *Playbook) block(header hcl.Range) string {
	file := p.Files[header.Filename]
	if file == nil {
		return ""
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return ""
	}
	found := blockAt(body, header)
	if found == nil {
		return ""
	}
	lines := strings.Split(strings.ReplaceAll(string(file.Bytes), "\r\n", "\n"), "\n")
	r := found.Range()
	if r.End.Line > len(lines) {
		return ""
	}
	return strings.Join(lines[r.Start.Line-1:r.End.Line], "\n")
}

func blockAt(body *hclsyntax.Body, header hcl.Range) *hclsyntax.Block {
	for _, block := range body.Blocks {
		if block.DefRange() == header {
			return block
		}
		if found := blockAt(block.Body, header); found != nil {
			return found
		}
	}
	return nil
}
