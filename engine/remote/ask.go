package remote

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// reading is what a shell that reads knows: a frame calls _hl_q once a query, with the query's script
// and arguments as quoted words, so that it is well-formed whatever they are. The
// subshell keeps one query's variables, directory, options, exit and syntax errors (for which dash
// leaves the shell) from the others; a query that reads its input sees its end, not the next frame.
const reading = `_hl_end() {
	printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$1"
	printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$1" >&2
	_hl_i=$((_hl_i+1))
}
_hl_q() {
	_hl_s=$1; shift
	( eval "$_hl_s" ) </dev/null
	_hl_end $?
}
`

// readingLoop answers frames, "<length>\n<script>". The first is part of the shell's own script, which
// saves the host two processes.
const readingLoop = `while read -r _hl_l; do eval "$(head -c "$_hl_l")" || exit 2; done
exit 0
`

// company asks several limited queries under one timeout(1), which costs a host two processes, not
// one for each query: in a shell of their own, whose script is in its environment, where no other user
// sees it. The first argument is the limit, the second how many there are, the third what asks them. If
// the limit is reached, it ends one of them before its time: what was not answered is asked again, each
// under a limit of its own. The shell waits for the query that it was ended in, so that timeout
// is there to kill what ignores SIGTERM.
const company = `_hl_c() {
	_hl_t="unset _hl_t; trap 'exit 124' TERM 2>/dev/null; limited= _hl_n=$_hl_n _hl_i=$_hl_i
$_hl_f$3" timeout -k 2 "$1" sh -c 'eval "$_hl_t"' </dev/null
	_hl_r=$?
	_hl_i=$((_hl_i+$2))
	_hl_end "$_hl_r"
}
`

// cutOff is the code of a query that was not answered in company; no process has it.
const cutOff = 301

// Limited queries keep company from this many on, up to this many bytes of their script: the kernel takes
// no more than 128 KiB of one variable of the environment (MAX_ARG_STRLEN of execve(2)).
const (
	fewest  = 4
	longest = 64 << 10
)

// calls is a script that asks queries, each under the limit of its own.
func calls(queries []Query) ([]byte, error) {
	var script bytes.Buffer
	for i, q := range queries {
		line, err := q.call()
		if err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
		if q.Limit > 0 {
			fmt.Fprintf(&script, "limited='timeout -k 2 %d'\n", q.seconds())
		} else {
			script.WriteString("limited=\n")
		}
		script.WriteString(line)
	}
	// A shell that cannot read a frame ends, and does not leave its queries without an answer.
	script.WriteString("true\n")
	return script.Bytes(), nil
}

func (q Query) call() (string, error) {
	line, err := quoteAll(append([]string{q.Script}, q.Args...))
	return "_hl_q " + line + "\n", err
}

func (q Query) seconds() int { return max(1, int(q.Limit.Round(time.Second)/time.Second)) }

// inCompany is a script that asks queries, the limited ones of them last and together. order says which
// query is answered in which place; behind all stands an answer that is none.
// There is no script if that saves nothing.
func inCompany(queries []Query) (script []byte, order []int, err error) {
	var alone []Query
	var together []int
	var text bytes.Buffer
	limit := 0
	for i, q := range queries {
		line, err := q.call()
		if err != nil {
			return nil, nil, fmt.Errorf("query %d: %w", i, err)
		}
		if q.Limit <= 0 || text.Len()+len(line) > longest {
			alone, order = append(alone, q), append(order, i)
			continue
		}
		together = append(together, i)
		text.WriteString(line)
		if limit == 0 || q.seconds() < limit {
			limit = q.seconds()
		}
	}
	if len(together) < fewest {
		return nil, nil, nil
	}
	if script, err = calls(alone); err != nil {
		return nil, nil, err
	}
	words, err := quote(text.String())
	if err != nil {
		return nil, nil, err
	}
	return fmt.Appendf(script, "_hl_c %d %d %s\ntrue\n", limit, len(together), words), append(order, together...), nil
}

// Ask sends all queries in one flight; those of other users fly at the same time.
func (s *session) Ask(ctx context.Context, queries []Query) ([]Answer, error) {
	type share struct {
		session *session
		queries []Query
		places  []int
		answers []Answer
		err     error
	}
	byUser := map[*session]*share{}
	var shares []*share
	for i, q := range queries {
		of := s
		if q.User != "" && q.User != s.who() {
			of = s.conn.as(q.User)
		}
		sh := byUser[of]
		if sh == nil {
			sh = &share{session: of}
			byUser[of] = sh
			shares = append(shares, sh)
		}
		sh.queries = append(sh.queries, q)
		sh.places = append(sh.places, i)
	}
	if len(shares) == 0 {
		return nil, nil
	}
	s.conn.flights.Add(1)
	var all sync.WaitGroup
	for _, sh := range shares {
		all.Go(func() { sh.answers, sh.err = sh.session.ask(ctx, sh.queries) })
	}
	all.Wait()
	answers := make([]Answer, len(queries))
	for _, sh := range shares {
		if sh.err != nil {
			return nil, sh.err
		}
		for i, place := range sh.places {
			answers[place] = sh.answers[i]
		}
	}
	return answers, nil
}

// ask sends the user's own queries.
func (s *session) ask(ctx context.Context, queries []Query) ([]Answer, error) {
	script, order, err := inCompany(queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	if script == nil {
		return s.askAlone(ctx, queries)
	}
	answered, err := s.exchange(ctx, script, len(queries)+1, true)
	if err != nil {
		return nil, err
	}
	broken := answered[len(order)].Exit != 0
	answers := make([]Answer, len(queries))
	var again []int
	for i, place := range order {
		answers[place] = answered[i]
		// One that ended by a signal may have been ended with the company.
		if exit := answered[i].Exit; exit == cutOff || broken && exit > 128 {
			again = append(again, place)
		}
	}
	if len(again) == 0 {
		return answers, nil
	}
	rest := make([]Query, len(again))
	for i, place := range again {
		rest[i] = queries[place]
	}
	late, err := s.askAlone(ctx, rest)
	if err != nil {
		return nil, err
	}
	for i, place := range again {
		answers[place] = late[i]
	}
	return answers, nil
}

// askAlone asks queries each under the limit of its own.
func (s *session) askAlone(ctx context.Context, queries []Query) ([]Answer, error) {
	script, err := calls(queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	return s.exchange(ctx, script, len(queries), false)
}

// exchange has the reading shell, which is started if there is none, run a script that gives n answers; gaps
// is as in shell.exchange.
func (s *session) exchange(ctx context.Context, script []byte, n int, gaps bool) ([]Answer, error) {
	if err := s.read.enter(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	defer s.read.leave()
	if err := s.conn.transport.lost(); err != nil {
		return nil, s.conn.unreachable(err)
	}
	if !s.read.stands() {
		// There is no waiting for the shell to say that it is there.
		var err error
		if script, err = s.startReading(ctx, script); err != nil {
			return nil, err
		}
	}
	sh := s.read.shell
	answers, err := sh.exchange(ctx, frame(script), n, gaps, nil)
	if err == nil {
		return answers, nil
	}
	s.read.drop() // the next query starts another
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: the queries were given up: %w", s.conn.name, err)
	}
	return nil, s.explain(sh.spawned, err)
}

// startReading starts the user's reading shell, and returns the script that is to be its first frame, with
// a script in it that asks the first queries.
func (s *session) startReading(ctx context.Context, first []byte) ([]byte, error) {
	sh, opening, err := s.shell(ctx, false, "")
	if err != nil {
		return nil, err
	}
	known, err := quote(reading)
	if err != nil {
		return nil, err
	}
	s.read.shell = sh
	return slices.Concat([]byte(opening+"_hl_i=0 _hl_f="+known+"\n"+`eval "$_hl_f"`+"\n"+company), first, []byte(readingLoop)), nil
}
