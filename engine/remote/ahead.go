package remote

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
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
		n += 512 + len(c.Stdin) + length(words) + length(c.Before.Args) + len(c.Before.Script)
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

// calls writes the lines by which the acting shell does what is sent ahead.
func (a *Ahead) calls(block *bytes.Buffer, mark, user string, scripts repeated) error {
	for _, q := range a.If {
		word, err := scripts.word(block, q.Script)
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
			block.WriteString("_hl_hif " + word + " " + args + "\n")
			continue
		}
		block.WriteString(q.limited() + "_hl_if " + word + " " + args + "\n")
	}
	for _, c := range a.Commands {
		call, err := c.call(mark, user)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Argv[0], err)
		}
		block.WriteString(call)
	}
	return scripts.ask(block, a.Then)
}

// ask writes the lines by which the acting shell asks queries, each under its own limit.
func (r repeated) ask(block *bytes.Buffer, queries []Query) error {
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
