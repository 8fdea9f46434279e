package remote

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// reading is what a shell that reads knows: a script calls _hl_q once a query, or _hl_x for one that is
// inline, with the query's script and arguments as quoted words, so that it is well-formed whatever they are. The
// subshell keeps one query's variables, directory, options, exit and syntax errors (for which dash
// leaves the shell) from the others; a query that reads its input sees its end, not the next script.
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
_hl_x() {
	_hl_s=$1; shift
	eval "$_hl_s" </dev/null
	_hl_end $?
}
`

// afresh is the beginning of a script for a shell that has run others: where it has found a program before, another
// may stand in its way by now.
const afresh = "hash -r\n"

// company asks several queries of one limit under one timeout(1), which costs a host two processes, not
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

// Codes that no process has: cutOff is of a query that was not answered in company, tooMuch of one that printed more than is
// kept of it.
const (
	cutOff  = 301
	tooMuch = 302
)

// Queries of one limit keep company from this many on, up to this many bytes of their script: the kernel takes
// no more than 128 KiB of one variable of the environment (MAX_ARG_STRLEN of execve(2)).
const (
	fewest  = 4
	longest = 64 << 10
)

// call is a line that asks a query.
func (q Query) call() (string, error) {
	line, err := quoteAll(append([]string{q.Script}, q.Args...))
	if q.Inline {
		return "_hl_x " + line + "\n", err
	}
	return "_hl_q " + line + "\n", err
}

func (q Query) seconds() int {
	if q.Limit <= 0 {
		return 0
	}
	return max(1, int(q.Limit.Round(time.Second)/time.Second))
}

// question is a script in the making that asks queries, each under the limit of its own.
type question struct {
	bytes.Buffer
	limit int // of the last one, in seconds; -1 before the first
}

func newQuestion() *question { return &question{limit: -1} }

func (s *question) add(q Query, call string) {
	switch limit := q.seconds(); {
	case limit == s.limit:
	case limit > 0:
		fmt.Fprintf(s, "limited='timeout -v -k 2 %d'\n", limit)
		s.limit = limit
	default:
		s.WriteString("limited=\n")
		s.limit = 0
	}
	s.WriteString(call)
}

// end is the whole script, which ends well: an acting shell that cannot read one ends, and does not leave its queries without
// an answer.
func (s *question) end() []byte {
	s.WriteString("true\n")
	return s.Bytes()
}

// calls is a script that asks queries, each under the limit of its own.
func calls(queries []Query) ([]byte, error) {
	script := newQuestion()
	for i, q := range queries {
		call, err := q.call()
		if err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
		script.add(q, call)
	}
	return script.end(), nil
}

// inCompany is a script that asks queries, those of them last and together that have the same limit, if that
// saves something. order says which query is answered in which place; behind all stands one answer more if
// there is a company.
func inCompany(queries []Query) (script []byte, order []int, company bool, err error) {
	all := make([]string, len(queries))
	for i, q := range queries {
		if all[i], err = q.call(); err != nil {
			return nil, nil, false, fmt.Errorf("query %d: %w", i, err)
		}
	}
	limit := commonLimit(queries)
	apart := newQuestion()
	var together []int
	var text bytes.Buffer
	for i, q := range queries {
		if limit == 0 || q.seconds() != limit || text.Len()+len(all[i]) > longest {
			order = append(order, i)
			apart.add(q, all[i])
			continue
		}
		together = append(together, i)
		text.WriteString(all[i])
	}
	if len(together) > 0 {
		words, err := quote(text.String())
		if err != nil {
			return nil, nil, false, err
		}
		fmt.Fprintf(apart, "_hl_c %d %d %s\n", limit, len(together), words)
	}
	return apart.end(), append(order, together...), len(together) > 0, nil
}

// commonLimit is the limit that most queries have, in seconds; 0 if they are too few for a company.
func commonLimit(queries []Query) int {
	count := map[int]int{}
	limit := 0
	for _, q := range queries {
		s := q.seconds()
		if s == 0 {
			continue
		}
		if count[s]++; count[s] >= fewest && count[s] > count[limit] {
			limit = s
		}
	}
	return limit
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
	script, order, company, err := inCompany(queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	if !company {
		return s.exchange(ctx, script, keeping(queries), false, allowed(queries))
	}
	most := make([]int, len(queries)+1)
	for i, place := range order {
		most[i] = queries[place].Most
	}
	answered, err := s.exchange(ctx, script, most, true, allowed(queries))
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
	if script, err = calls(rest); err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	late, err := s.exchange(ctx, script, keeping(rest), false, allowed(rest))
	if err != nil {
		return nil, err
	}
	for i, place := range again {
		answers[place] = late[i]
	}
	return answers, nil
}

// keeping is how much is kept of the answers to some queries.
func keeping(queries []Query) []int {
	most := make([]int, len(queries))
	for i, q := range queries {
		most[i] = q.Most
	}
	return most
}

// allowed is how long a shell may say nothing that is asked queries.
func allowed(queries []Query) time.Duration {
	limit := silenceLimit
	for _, q := range queries {
		if q.Limit > 0 {
			limit += q.Limit + killAfter
		}
	}
	return limit
}

// exchange has the reading shell, which is started if there is none, run a script that gives answers; most, gaps
// and limit are as in shell.exchange.
func (s *session) exchange(ctx context.Context, script []byte, most []int, gaps bool, limit time.Duration) ([]Answer, error) {
	if err := s.read.enter(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	defer s.read.leave()
	if err := s.conn.transport.lost(); err != nil {
		return nil, s.conn.unreachable(err)
	}
	var text []byte
	if s.read.stands() {
		text = whole(append([]byte(afresh), script...))
	} else {
		// There is no waiting for the shell to say that it is there.
		var err error
		if text, err = s.startReading(ctx, script); err != nil {
			return nil, err
		}
	}
	sh := s.read.shell
	bounded, cancel := context.WithTimeoutCause(ctx, limit+answerLimit, errSilent)
	defer cancel()
	answers, err := sh.exchange(bounded, text, most, gaps, limit, nil)
	if err == nil {
		return answers, nil
	}
	s.read.drop() // the next query starts another
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: the queries were given up: %w", s.conn.name, err)
	}
	return nil, s.explain(sh.spawned, err)
}

// startReading starts the user's reading shell, and returns what it is to be sent first, with a script in it that
// asks the first queries.
func (s *session) startReading(ctx context.Context, first []byte) ([]byte, error) {
	sh, opening, err := s.shell(ctx, sourced, false, "")
	if err != nil {
		return nil, err
	}
	known, err := quote(reading)
	if err != nil {
		return nil, err
	}
	s.read.shell = sh
	return whole(append([]byte(opening+"_hl_i=0 _hl_f="+known+"\n"+`eval "$_hl_f"`+"\n"+Place+company), first...)), nil
}
