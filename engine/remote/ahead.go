package remote

import (
	"bytes"
	"fmt"
	"slices"
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

// calls writes the lines by which the acting shell does what is sent ahead.
func (a *Ahead) calls(block *bytes.Buffer, mark, user string) error {
	for _, q := range a.If {
		words, err := quoteAll(append([]string{q.Script}, q.Args...))
		if err != nil {
			return err
		}
		block.WriteString("_hl_if " + words + "\n")
	}
	for _, c := range a.Commands {
		call, err := c.call(mark, user)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Argv[0], err)
		}
		block.WriteString(call)
	}
	script, err := calls(a.Then)
	block.Write(script)
	return err
}

// keeping returns how many bytes are kept of each stream.
func (a *Ahead) keeping() []int {
	most := slices.Repeat([]int{MaxOutput}, len(a.If)+len(a.Commands))
	return append(most, keeping(a.Then)...)
}

// endedAhead takes the i-th answer after those of the commands.
func (r *running) endedAhead(i int, answer Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.actions.Ahead) == 0 {
		return
	}
	if !r.given {
		r.timer.Reset(r.limitBefore(i + 1))
	}
	if i -= len(r.actions.Then); i < 0 {
		r.said = append(r.said, answer)
		return
	}
	for _, a := range r.actions.Ahead {
		if n := a.length(); i >= n {
			i -= n
			continue
		}
		a.heard++
		switch at := i - len(a.If); {
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
		return
	}
}

// limitBefore returns how long the shell may take for the i-th answer after those of the commands.
func (r *running) limitBefore(i int) time.Duration {
	conn := r.session.conn
	queries := func(of []Query) time.Duration { return conn.allowed(of[i : i+1]) }
	if i < len(r.actions.Then) {
		return queries(r.actions.Then)
	}
	i -= len(r.actions.Then)
	for _, a := range r.actions.Ahead {
		switch {
		case i < len(a.If):
			return queries(a.If)
		case i < len(a.If)+len(a.Commands):
			return a.Commands[i-len(a.If)].limit() + killAfter + slack
		case i < a.length():
			i -= len(a.If) + len(a.Commands)
			return queries(a.Then)
		}
		i -= a.length()
	}
	return conn.silenceLimit
}

func (a *Ahead) length() int { return len(a.If) + len(a.Commands) + len(a.Then) }

// lost records that the shell was lost: what it was not heard of may have been begun, unless something before it was not met.
func (a Actions) lost(err error) {
	for _, ahead := range a.Ahead {
		if ahead.leftOut {
			return
		}
		if ahead.heard < ahead.length() {
			ahead.Begun, ahead.Err = true, err
		}
	}
}
