package remote

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// all returns all commands, with those that are sent ahead.
func (a Actions) all() []Command {
	all := slices.Clone(a.Commands)
	for _, ahead := range a.Ahead {
		all = append(all, ahead.Commands...)
	}
	return all
}

// Size returns about how many bytes are sent, apart from scripts that are sent once in a flight, and without Then.
func (a *Ahead) Size() (n int) {
	for _, c := range a.Commands {
		words := c.Argv
		if c.own.name != "" {
			words = c.own.args
		}
		n += 512 + len(c.Stdin) + length(words) + length(c.Before.Args) + len(c.Before.Script) + length(c.Via.Args) + len(c.Via.Script)
	}
	for _, q := range a.If {
		n += 32 + length(q.Args)
	}
	return n
}

func length(words []string) (n int) {
	for _, w := range words {
		n += len(w) + 3
	}
	return n
}

// repeated names scripts that are asked more than once in a block.
type repeated map[string]string

// word returns a word that stands for a script. The first time, it writes the script to the block.
func (r repeated) word(block *bytes.Buffer, script string) (string, error) {
	word, ok := r[script]
	if !ok {
		text, err := quote(script)
		if err != nil {
			return "", err
		}
		name := "_hl_script" + strconv.Itoa(len(r))
		block.WriteString(name + "=" + text + "\n")
		word = `"$` + name + `"`
		r[script] = word
	}
	return word, nil
}

// ahead writes what makes the acting shell do what is sent ahead. before are the queries that were asked right before, and behind are
// the conditions that are asked next.
func (f *frames) ahead(a *Ahead, before, behind []Query, scripts repeated) error {
	_, told := toldBefore(before, a.If)
	for i, q := range a.If {
		word, err := scripts.word(&f.block, q.Script)
		if err != nil {
			return err
		}
		args, err := quoteAll(q.Args)
		if err != nil {
			return err
		}
		if q.Hand != "" {
			if args, err = request(q.Hand, q.Args); err != nil {
				return err
			}
			f.block.WriteString("_hl_hif " + word + " " + args + "\n")
			continue
		}
		f.block.WriteString(q.limited() + "_hl_if " + word + " " + args + "\n")
		if i == told {
			f.block.WriteString("unset _hl_said\n")
		}
	}
	for _, c := range a.Commands {
		if c.Via.Script != "" {
			if err := f.script(c, "next"); err != nil {
				return err
			}
			continue
		}
		call, err := c.call(f.mark, f.user)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Argv[0], err)
		}
		f.block.WriteString(call)
	}
	return scripts.ask(&f.block, a.Then, behind)
}

// toldBefore returns the places of a query and of a condition that is asked behind it, which the query's output answers; -1 if
// there are none. Whatever has a limit of its own may take so long that the condition is asked anew.
func toldBefore(queries, conditions []Query) (query, condition int) {
	slow := func(q Query) bool { return q.Limit > 0 }
	for query := len(queries) - 1; query >= 0 && !slow(queries[query]); query-- {
		if said := queries[query].Says; said != "" {
			condition := slices.IndexFunc(conditions, func(q Query) bool { return slow(q) || q.Says == said })
			if condition >= 0 && conditions[condition].Says == said {
				return query, condition
			}
		}
	}
	return -1, -1
}

// ask writes the lines by which the acting shell asks queries, each under its own limit. behind are the conditions that are asked
// next.
func (r repeated) ask(block *bytes.Buffer, queries, behind []Query) error {
	tells, _ := toldBefore(queries, behind)
	lines := newQuestion()
	for i, q := range queries {
		word, err := r.word(block, q.Script)
		if err != nil {
			return fmt.Errorf("query %d: %w", i, err)
		}
		call, err := q.callActing(word)
		if err != nil {
			return fmt.Errorf("query %d: %w", i, err)
		}
		if i == tells {
			call = strings.Replace(call, "_hl_x", "_hl_k", 1)
		}
		lines.add(q, call)
	}
	block.Write(lines.end())
	return nil
}

// keeping returns how many bytes are kept of each stream.
func (a *Ahead) keeping() []int {
	most := slices.Repeat([]int{MaxOutput}, len(a.If)+len(a.Commands))
	return append(most, keeping(a.Then)...)
}

// endedAhead takes the i-th answer after those of the commands.
func (r *running) endedAhead(i int, answer Answer) {
	r.mu.Lock()
	if len(r.actions.Ahead) == 0 {
		r.mu.Unlock()
		return
	}
	if !r.given {
		r.timer.Reset(r.limitBefore(i + 1))
	}
	if a, at := r.actions.place(i); a == nil {
		r.said = append(r.said, answer)
		r.leftOut = r.leftOut || answer.Exit == leftOut
	} else {
		r.heardOf(a, at, answer)
		r.leftOut = r.leftOut || a.leftOut
	}
	begins := r.beginsLocked(i + 1)
	r.mu.Unlock()
	begins()
}

// heardOf takes the answer at a place of what was sent ahead.
func (r *running) heardOf(a *Ahead, at int, answer Answer) {
	a.heard++
	switch at -= len(a.If); {
	case answer.Exit == leftOut:
		a.leftOut = true
	case at < 0:
		a.leftOut = a.leftOut || answer.Exit != 0
	case at < len(a.Commands):
		a.Begun = true
		result, err := r.session.result(a.Commands[at], r.mark, answer)
		if err != nil {
			a.Err, a.leftOut = err, true
			return
		}
		a.Results = append(a.Results, result.limited(a.Commands[at].limit()))
		a.leftOut = a.leftOut || !a.Commands[at].accepts(result.Exit)
	default:
		a.Answers = append(a.Answers, answer)
	}
}

// beginsLocked records which command of what was sent ahead the host begins, if any, when the i-th answer after those of the commands is
// the next. It returns what tells the caller of RunAll. The caller holds r.mu.
func (r *running) beginsLocked(i int) (tell func()) {
	r.ahead = nil
	a, at := r.actions.place(i)
	if a == nil || r.leftOut || at < len(a.If) || at > len(a.If)+len(a.Commands) {
		return func() {}
	}
	at -= len(a.If)
	if at < len(a.Commands) {
		r.ahead = &a.Commands[at]
	}
	if a.Begins == nil {
		return func() {}
	}
	return func() { a.Begins(at) }
}

// place returns what was sent ahead to which the i-th answer after those of the commands belongs, and the answer's place there; nil
// if it belongs to Then.
func (a Actions) place(i int) (ahead *Ahead, at int) {
	i -= len(a.Then)
	for _, ahead := range a.Ahead {
		if n := ahead.length(); i >= n {
			i -= n
		} else if i >= 0 {
			return ahead, i
		}
	}
	return nil, 0
}

// limitBefore returns how long the shell may take for the i-th answer after those of the commands.
func (r *running) limitBefore(i int) time.Duration {
	conn := r.session.conn
	queries := func(of []Query, i int) time.Duration { return conn.allowed(of[i : i+1]) }
	if i < len(r.actions.Then) {
		return queries(r.actions.Then, i)
	}
	a, at := r.actions.place(i)
	switch {
	case a == nil:
		return conn.silenceLimit
	case at < len(a.If):
		return queries(a.If, at)
	case at < len(a.If)+len(a.Commands):
		return a.Commands[at-len(a.If)].limit() + killAfter + slack
	}
	return queries(a.Then, at-len(a.If)-len(a.Commands))
}

func (a *Ahead) length() int { return len(a.If) + len(a.Commands) + len(a.Then) }

// lost records that the shell was lost: what it was not heard of may have been begun, unless something before it was not met. left, if
// not nil, is the command that was left running.
func (a Actions) lost(err error, left *LeftError) {
	for _, ahead := range a.Ahead {
		if ahead.leftOut {
			return
		}
		if ahead.heard < ahead.length() {
			ahead.Begun, ahead.Err = true, err
		}
		for i := range ahead.Commands {
			if left != nil && left.command == &ahead.Commands[i] {
				ahead.Err = left
			}
		}
	}
}
