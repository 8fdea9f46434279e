package remote

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// reading defines the functions of a reading shell. A script calls _hl_q, or _hl_x for an inline query, with the
// query's script and arguments as quoted words, so that the calling script is well-formed whatever they contain. The
// subshell isolates a query's variables, directory, options, exit and syntax errors (on which dash exits) from other
// queries. A query that reads its input gets end of file, not the next script.
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

// afresh starts a script for a shell that has run others: the path of a program may have changed since the shell hashed
// it.
const afresh = "hash -r\n"

// company asks several queries with the same limit under one timeout(1), which costs the host two processes in total
// rather than two per query. They run in one more shell, whose script is passed in its environment, hidden from other
// users. The arguments are the limit, the number of queries, and the script that asks them. When the limit is reached,
// a query may be cut off before its own time is up, so whatever has no answer is asked again under its own limit. The
// shell waits for the interrupted query, so that timeout is still there to kill a process that ignores SIGTERM.
const company = `_hl_c() {
	_hl_t="unset _hl_t; trap 'exit 124' TERM 2>/dev/null; limited= _hl_n=$_hl_n _hl_i=$_hl_i
$_hl_f$3" timeout -k 2 "$1" sh -c 'eval "$_hl_t"' </dev/null
	_hl_r=$?
	_hl_i=$((_hl_i+$2))
	_hl_end "$_hl_r"
}
`

// Codes with which no process exits: cutOff if a query in a company was not answered, tooMuch if it printed more than
// is kept.
const (
	cutOff  = 301
	tooMuch = 302
)

// A company has at least fewest queries with the same limit, and at most longest bytes of script: the kernel limits an
// environment variable to 128 KiB (MAX_ARG_STRLEN, execve(2)).
const (
	fewest  = 4
	longest = 64 << 10
)

// call returns the line that asks the query.
func (q Query) call() (string, error) {
	script, err := quote(q.Script)
	if err != nil {
		return "", err
	}
	return q.callOf(script)
}

// callOf is call with a word that stands for the script.
func (q Query) callOf(script string) (string, error) {
	args, err := quoteAll(q.Args)
	if q.Inline {
		return "_hl_x " + script + " " + args + "\n", err
	}
	return "_hl_q " + script + " " + args + "\n", err
}

// callActing returns the line by which the acting shell asks the query. word stands for the script.
func (q Query) callActing(word string) (string, error) {
	if q.Hand == "" {
		return q.callOf(word)
	}
	words, err := request(q.Hand, q.Args)
	return "_hl_h " + word + " " + words + "\n", err
}

func (q Query) seconds() int {
	if q.Limit <= 0 {
		return 0
	}
	return max(1, int(q.Limit.Round(time.Second)/time.Second))
}

// question builds a script that asks queries, each under its own limit.
type question struct {
	bytes.Buffer
	limit int // of the last query, in seconds; -1 before the first
}

func newQuestion() *question { return &question{limit: -1} }

func (s *question) add(q Query, call string) {
	if limit := q.seconds(); limit != s.limit {
		s.WriteString(q.limited())
		s.limit = limit
	}
	s.WriteString(call)
}

// limited returns the line that sets $limited.
func (q Query) limited() string {
	if limit := q.seconds(); limit > 0 {
		return fmt.Sprintf("limited='timeout -v -k 2 %d'\n", limit)
	}
	return "limited=\n"
}

// end returns the script. It ends with true: an acting shell that cannot parse a script exits, rather than leaving its
// queries unanswered.
func (s *question) end() []byte {
	s.WriteString("true\n")
	return s.Bytes()
}

// calls returns a script that asks queries, each under its own limit.
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

// inCompany returns a script that asks queries. If that saves processes, those with the most common limit are asked
// together at the end. order lists the queries in the order of their answers. If company is set, one more answer
// follows.
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

// commonLimit returns the limit that most queries have, in seconds, or 0 if too few have one.
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

// Ask sends all queries in one flight. Queries of other users are sent at the same time.
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

// ask sends queries that run as the session's user.
func (s *session) ask(ctx context.Context, queries []Query) ([]Answer, error) {
	script, order, company, err := inCompany(queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	if !company {
		return s.exchange(ctx, s.read, script, keeping(queries), false, s.conn.allowed(queries))
	}
	most := make([]int, len(queries)+1)
	for i, place := range order {
		most[i] = queries[place].Most
	}
	answered, err := s.exchange(ctx, s.read, script, most, true, s.conn.allowed(queries))
	if err != nil {
		return nil, err
	}
	broken := answered[len(order)].Exit != 0
	answers := make([]Answer, len(queries))
	var again []int
	for i, place := range order {
		answers[place] = answered[i]
		// A signal may have been sent to the whole company.
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
	late, err := s.exchange(ctx, s.read, script, keeping(rest), false, s.conn.allowed(rest))
	if err != nil {
		return nil, err
	}
	for i, place := range again {
		answers[place] = late[i]
	}
	return answers, nil
}

// keeping returns how many bytes to keep of each query's streams.
func keeping(queries []Query) []int {
	most := make([]int, len(queries))
	for i, q := range queries {
		most[i] = q.Most
	}
	return most
}

// allowed returns how long a shell may be silent while it answers queries.
func (c *conn) allowed(queries []Query) time.Duration {
	limit := c.silenceLimit
	for _, q := range queries {
		if q.Limit > 0 {
			limit += q.Limit + killAfter
		}
	}
	return limit
}

// exchange runs a script that answers queries in a lane's shell, starting the shell if there is none. most, gaps and
// limit are as in shell.exchange.
func (s *session) exchange(ctx context.Context, on *lane, script []byte, most []int, gaps bool, limit time.Duration) ([]Answer, error) {
	if err := on.enter(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	defer on.leave()
	if err := s.conn.transport.lost(); err != nil {
		return nil, s.conn.unreachable(err)
	}
	var text []byte
	if on.stands() {
		text = whole(append([]byte(on.shell.again()), script...))
	} else {
		// The script is sent without waiting for the shell's first word.
		var err error
		if text, err = s.startReading(ctx, on, script); err != nil {
			return nil, err
		}
	}
	sh := on.shell
	bounded, cancel := context.WithTimeoutCause(ctx, limit+answerLimit, errSilent)
	defer cancel()
	answers, err := sh.exchange(bounded, text, most, gaps, limit, nil)
	if err == nil {
		if strings.Contains(sh.out.said, withPerl) {
			s.conn.perl.Store(true)
			s.conn.gzip.Store(strings.HasSuffix(sh.out.said, withGzip))
		}
		return answers, nil
	}
	on.drop() // the next query starts a new shell
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: the queries were given up: %w", s.conn.name, err)
	}
	return nil, s.explain(sh.spawned, err)
}

// startReading starts a reading shell in a lane and returns the first script for it, which contains a script that asks the
// first queries. The script is empty if the shell was given it.
func (s *session) startReading(ctx context.Context, on *lane, first []byte) ([]byte, error) {
	known, err := quote(reading)
	if err != nil {
		return nil, err
	}
	functions := "_hl_f=" + known + "\n" + `eval "$_hl_f"` + "\n" + Place + company
	if sh, err := s.primeReading(ctx, functions, first); sh != nil || err != nil {
		on.shell = sh
		return nil, err
	}
	sh, opening, err := s.shell(ctx, sourced, false, "")
	if err != nil {
		return nil, err
	}
	on.shell = sh
	return whole(append([]byte(opening+"_hl_i=0\n"+functions), first...)), nil
}
