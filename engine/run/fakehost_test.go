package run_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

type fakeHost struct {
	settings map[string]string
	pending  map[string]pendingSetting
	dead     bool
	// mute is set if the host cannot answer the next time that it is asked for what the hosts share.
	mute bool
	// refuses is set if the acting user cannot be become.
	refuses bool
	// freeAt is when a lock is released.
	freeAt time.Time
	// due are the due handlers recorded on the node, by ID.
	due map[string]string
	// undo is the change that the host undoes by itself; nil if there is none.
	undo *fakeUndo
	// stopping is set while the host shuts down, or cannot say whether it does, and can still be reached. It is called when
	// the host refuses to be disarmed for that, and does what happens before it is asked anew.
	stopping func()
	// unread is how often the SSH server is asked before it has read its configuration: until then, nothing is cut.
	// gone is set if the connection is lost when the server is asked first.
	unread int
	gone   bool
	// connects counts the connections that were made. reloads are the numbers of those over which the SSH server was asked.
	connects int
	reloads  []int
	// long are the recorded long commands, cuts how often the connection is lost during the next ones, or during proofs.
	long map[string]*fakeLong
	cuts int
	// next says, by the ID of a long command, whether what was sent behind it was "begun" or "withheld". unaware is set if the shell of a
	// lost connection goes on, before the run has connected anew.
	next    map[string]string
	unaware bool
	// boots is how often the host was rebooted, unheard how often the connection is lost before it is told to.
	boots, unheard int
	// late is set if the host reboots right after it has said that it does not shut down.
	late bool
	// leaving is set if the host is shutting down already when it is told to: it refuses, and reboots.
	leaving bool
	// deaf is set if the connection is lost when the host has removed the record of a due handler.
	deaf bool
	// exited is the exit code of its last command.
	exited int
}

// underway is the exit code of a command that says that its setting has yet to settle.
const underway = 75

// fakeLong is a long command: what is recorded of it, and whether and how it has ended. then is its effect at its end.
type fakeLong struct {
	about  string
	ended  bool
	result remote.Result
	then   func()
}

// fakeUndo is a change that a host undoes by itself.
type fakeUndo struct {
	id, what string
	at       time.Time
	before   map[string]string
	done     bool
}

// undoNow undoes the change.
func (h *fakeHost) undoNow() {
	h.settings, h.undo.done = maps.Clone(h.undo.before), true
}

// closed reports whether the connection was lost.
func (c *fakeConn) closed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// cut reports whether the host cannot be reached.
func (h *fakeHost) cut() bool { return h.dead || h.settings["link"] == "cut" && h.unread == 0 }

type pendingSetting struct {
	value string
	at    time.Time
}

// These scripts read and clear what is kept on a node.
var (
	readsKept  = nodestate.States.Ask([]string{""})[0].Script
	clearsKept = nodestate.Clear().Script
	arms, _    = nodestate.Undo{}.Arm()
	undoes     = nodestate.Undo{}.Now()
	undoesMore = nodestate.Undo{}.Again()
	forgets    = nodestate.Forgotten()

	startsLong   = nodestate.Long{}.Start().Script
	awaitsLong   = nodestate.Long{}.Await(0).Script
	discardsLong = nodestate.Discard().Script
	claimsBehind = nodestate.Long{}.Behind().Script
	withholds    = nodestate.Long{}.Withhold().Script

	waitsUntil = remote.Until(remote.Query{}, 0, 0).Script
	reloaded   = remote.Reloaded().Script

	isSystemRunning = remote.Argv(0, "systemctl", "is-system-running").Script
)

type fakeConn struct {
	stage *stage
	name  string
	host  *fakeHost
	done  chan struct{}
	count int // of the host's connections, with this one
}

func (c *fakeConn) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	if c.host.cut() || c.closed() {
		return nil, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	c.stage.event(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c.stage.asks[c.name]++
	defer c.stage.answered()
	return c.answer(queries)
}

// Watch lets time pass while the answers stay the same.
func (c *fakeConn) Watch(ctx context.Context, w remote.Watch) ([]remote.Answer, error) {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	c.stage.event(ctx)
	c.stage.watches[c.name]++
	if c.stage.unwatchable != nil {
		return nil, c.stage.unwatchable
	}
	defer c.stage.answered()
	for pause, until := w.Pause, c.stage.now.Add(w.Limit); ; pause = min(2*pause, remote.LongestPause) {
		c.stage.passLocked(pause)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case c.host.cut():
			return nil, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
		}
		answers, err := c.answer(w.Queries)
		if err != nil || !reflect.DeepEqual(answers, w.Known) || !c.stage.now.Before(until) {
			return answers, err
		}
	}
}

func (c *fakeConn) answer(queries []remote.Query) ([]remote.Answer, error) {
	answers := make([]remote.Answer, len(queries))
	for i, q := range queries {
		switch q.Script {
		case readsKept:
			var text strings.Builder
			for _, id := range slices.Sorted(maps.Keys(c.host.due)) {
				fmt.Fprintf(&text, "due %s %s\n", id, c.host.due[id])
			}
			if u := c.host.undo; u != nil && u.done {
				fmt.Fprintf(&text, "undo undone %s yes %s\n", u.id, u.what)
			} else if u != nil {
				fmt.Fprintf(&text, "undo armed %s %d %s\n", u.id, int(u.at.Sub(c.stage.now).Seconds()), u.what)
			}
			for _, id := range slices.Sorted(maps.Keys(c.host.long)) {
				l := c.host.long[id]
				fate := "alive"
				if l.ended {
					fate = "ended"
				}
				fmt.Fprintf(&text, "running %s %d %s 7 hlplay-%s.service %s\n", fate, l.result.Exit, id, id, l.about)
			}
			answers[i].Stdout = []byte(text.String())
			continue
		case arms.Script:
			seconds, _ := strconv.Atoi(q.Args[1])
			c.host.undo = &fakeUndo{id: q.Args[0], what: q.Args[2], at: c.stage.now.Add(time.Duration(seconds) * time.Second), before: maps.Clone(c.host.settings)}
			continue
		case undoes.Script, undoesMore.Script:
			if !c.host.undo.done || q.Script == undoesMore.Script {
				c.host.undoNow()
			}
			answers[i].Stdout = fmt.Appendf(nil, "undo undone %s yes %s\n", c.host.undo.id, c.host.undo.what)
			continue
		case forgets.Script:
			c.host.undo = nil
			continue
		case awaitsLong:
			l := c.host.long[q.Args[0]]
			l.ended = true
			if l.then != nil {
				l.then()
			}
			continue
		case discardsLong:
			for _, id := range q.Args {
				delete(c.host.long, id)
			}
			continue
		case claimsBehind:
			if c.host.next[q.Args[0]] != "" {
				answers[i].Exit = remote.ExitPrevented
			} else {
				c.host.next[q.Args[0]] = "begun"
			}
			continue
		case withholds:
			if c.host.next[q.Args[0]] == "begun" {
				answers[i].Exit = 1
			} else {
				c.host.next[q.Args[0]] = "withheld"
			}
			continue
		case clearsKept:
			for _, id := range q.Args {
				delete(c.host.due, id)
			}
			continue
		case waitsUntil:
			if behind := q.Args[2]; behind != "0" && behind != strconv.Itoa(c.host.exited) {
				continue
			}
			limit, _ := strconv.Atoi(q.Args[0])
			end := c.stage.now.Add(time.Duration(limit) * time.Second)
			for pause := 250 * time.Millisecond; ; pause = min(2*pause, remote.LongestPause) {
				is, err := c.answer([]remote.Query{{Script: q.Args[3], Args: q.Args[4:]}})
				if err != nil {
					return nil, err
				}
				if answers[i].Exit = is[0].Exit; answers[i].Exit == 0 || !c.stage.now.Before(end) {
					break
				}
				c.stage.passLocked(pause)
			}
			continue
		case "cat /proc/sys/kernel/random/boot_id":
			answers[i].Stdout = fmt.Appendf(nil, "boot %d\n", c.host.boots)
			continue
		case reloaded:
			if !slices.Contains(c.host.reloads, c.count) {
				c.host.reloads = append(c.host.reloads, c.count)
			}
			if c.host.gone {
				c.host.gone = false
				close(c.done)
				return nil, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
			}
			if c.host.unread > 0 {
				c.host.unread--
				answers[i] = remote.Answer{Exit: 1, Stderr: []byte("sshd has not yet taken SIGHUP\n")}
			}
			continue
		case isSystemRunning:
			answers[i].Stdout = []byte("running\n")
			if c.host.late {
				c.host.boots++
				close(c.done)
			}
			continue
		case "shows":
			name := q.Args[0]
			if p, ok := c.host.pending[name]; ok && !c.stage.now.Before(p.at) {
				c.host.settings[name] = p.value
				delete(c.host.pending, name)
			}
			if c.host.settings[name] != q.Args[1] {
				answers[i].Exit = 1
			}
			continue
		case "joints":
			if c.host.mute {
				c.host.mute = false
				answers[i].Exit = 1
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(c.stage.joints)) {
				answers[i].Stdout = fmt.Appendf(answers[i].Stdout, "%s=%s\n", name, c.stage.joints[name])
			}
			continue
		case "get":
			for _, name := range q.Args {
				c.stage.gets = append(c.stage.gets, fmt.Sprint(len(c.stage.acts), " ", name))
			}
		case "is":
			for j := 0; j < len(q.Args); j += 2 {
				if c.host.settings[q.Args[j]] != q.Args[j+1] {
					answers[i].Exit = 1
				}
			}
			continue
		default:
			if u := c.host.undo; u != nil && q.Script == (nodestate.Undo{ID: u.id}).Disarm().Script {
				switch {
				case u.done:
					answers[i].Exit = 77
				case c.host.stopping != nil:
					answers[i].Exit = 78
					c.host.stopping()
					c.host.stopping = nil
				default:
					c.host.undo = nil
				}
				continue
			}
			return nil, fmt.Errorf("unexpected query %q", q.Script)
		}
		var values []string
		for _, name := range q.Args {
			if p, ok := c.host.pending[name]; ok && !c.stage.now.Before(p.at) {
				c.host.settings[name] = p.value
				delete(c.host.pending, name)
			}
			values = append(values, c.host.settings[name])
		}
		answers[i].Stdout = []byte(strings.Join(values, "\n"))
	}
	return answers, nil
}

func (c *fakeConn) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	s := c.stage
	s.mu.Lock()
	s.event(ctx)
	if ctx.Err() != nil {
		s.mu.Unlock()
		return remote.Result{}, ctx.Err()
	}
	s.busy++
	s.most = max(s.most, s.busy)
	onAct := s.onAct
	s.mu.Unlock()
	if onAct != nil {
		onAct(c.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	if cause := context.Cause(ctx); cmd.Argv[0] == "prove" && cause != nil && cause != context.Canceled { // its time is over
		return remote.Result{}, cause
	}
	if c.host.cut() || c.closed() {
		return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	if cmd.Before.Script == claimsBehind {
		if answers, err := c.answer([]remote.Query{cmd.Before}); err != nil || answers[0].Exit != 0 {
			return remote.Result{}, cmp.Or(err, error(&remote.PreventedError{Host: c.name, Said: "withheld"}))
		}
	} else if before := cmd.Before.Args; len(before) > 3 { // after the one who locks the node
		for i := 3; i < len(before); i += 2 {
			c.host.due[before[i]] = before[i+1]
		}
	}
	switch {
	case cmd.Argv[0] == "true":
		return remote.Result{}, nil
	case cmd.Argv[0] == "cat" && cmd.Argv[1] == observe.BootIDFile:
		return remote.Result{Stdout: fmt.Appendf(nil, "boot %d\n", c.host.boots)}, nil
	case slices.Equal(cmd.Argv, []string{"systemctl", "reboot"}):
		if c.host.unheard > 0 {
			c.host.unheard--
			close(c.done)
			return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
		}
		c.host.boots++
		if c.host.leaving {
			return remote.Result{Exit: 1, Stderr: []byte("Call to Reboot failed: There's already a shutdown or sleep operation in progress\n")}, nil
		}
		return remote.Result{}, nil
	case cmd.Argv[0] == "prove" && c.host.cuts > 0:
		c.host.cuts--
		close(c.done)
		return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	if cmd.Via.Script == "" {
		return c.run(cmd)
	}
	id := cmd.Via.Args[0]
	if cmd.Via.Script == startsLong {
		r, err := c.run(cmd)
		if err != nil {
			return r, err
		}
		c.host.long[id] = &fakeLong{about: cmd.Via.Args[1], ended: true, result: r}
	}
	if c.host.cuts > 0 {
		c.host.cuts--
		close(c.done)
		return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	r := c.host.long[id].result
	delete(c.host.long, id) // whoever has read its end removes it
	return r, nil
}

// run carries out a command.
func (c *fakeConn) run(cmd remote.Command) (remote.Result, error) {
	s := c.stage
	verb, name, value := cmd.Argv[0], cmd.Argv[1], cmd.Argv[2]
	s.acts = append(s.acts, c.name+": "+strings.Join(cmd.Argv, " "))
	defer s.answered()
	if s.meddle != nil {
		n := s.ran[c.name]
		s.ran[c.name]++
		s.meddle(c.host, c.name, n, false)
		defer s.meddle(c.host, c.name, n, true)
	}
	switch {
	case strings.HasPrefix(verb, "busy-"):
		var seconds int
		fmt.Sscanf(verb, "busy-%d", &seconds)
		if c.host.freeAt.IsZero() {
			c.host.freeAt = s.now.Add(time.Duration(seconds) * time.Second)
		}
		if s.now.Before(c.host.freeAt) {
			return remote.Result{Exit: 1, Stderr: []byte("locked\n")}, nil
		}
		c.host.settings[name] = value
	case verb == "set":
		c.host.settings[name] = value
		delete(c.host.pending, name)
		if len(cmd.Argv) > 3 {
			c.host.settings[cmd.Argv[3]] = value
			delete(c.host.pending, cmd.Argv[3])
		}
		if c.host.cut() {
			return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
		}
	case verb == "joint":
		if found := []string{c.host.settings[cmd.Argv[3]], s.joints[cmd.Argv[5]], s.joints[cmd.Argv[7]]}; !slices.Equal(found, []string{cmd.Argv[4], cmd.Argv[6], cmd.Argv[8]}) {
			s.stale = append(s.stale, fmt.Sprintf("%s: %q found %q", c.name, cmd.Argv, found))
		}
		s.joints[name] = value
	case verb == "prove":
		if c.host.settings[name] != value {
			return remote.Result{Exit: 1, Stderr: []byte("no answer\n")}, nil
		}
	case verb == "fetch":
		if s.hosts[cmd.Argv[3]].settings[name] != value {
			return remote.Result{Exit: 1, Stderr: []byte("no server\n")}, nil
		}
		c.host.settings[name] = value
	case verb == "pretend":
		return remote.Result{Stderr: []byte("it is not my day\n")}, nil
	case verb == "fail":
		return remote.Result{Exit: 1, Stderr: []byte("no such luck\n")}, nil
	case strings.HasPrefix(verb, "settle-"):
		var seconds int
		fmt.Sscanf(verb, "settle-%d", &seconds)
		c.host.pending[name] = pendingSetting{value, s.now.Add(time.Duration(seconds) * time.Second)}
		if slices.Contains(cmd.OK, underway) {
			return remote.Result{Exit: underway}, nil
		}
	}
	return remote.Result{Stdout: []byte(verb + "\n")}, nil
}

func (c *fakeConn) RunAll(ctx context.Context, a remote.Actions) (results []remote.Result, answers []remote.Answer, err error) {
	if c.host.refuses {
		return nil, nil, &remote.BecomeError{Host: c.name, Login: "admin", User: "root", Reason: "sudo does not accept the password"}
	}
	c.stage.mu.Lock()
	c.stage.flights[c.name]++
	c.stage.mu.Unlock()
	// lost records that nobody hears whether what comes behind was begun.
	lost := func(commands []remote.Command, behind []*remote.Ahead, err error) {
		if !c.closed() {
			return
		}
		if c.host.unaware {
			c.goOn(commands, behind)
		}
		for _, p := range behind {
			p.Begun, p.Err = true, err
		}
	}
	results, ok, err := c.runSome(ctx, a.Commands, a.Ended)
	if !ok {
		lost(a.Commands[min(len(results)+1, len(a.Commands)):], a.Ahead, err)
		return results, nil, err
	}
	if answers, err = c.asked(a.Then); err != nil {
		if c.host.cut() { // the results are lost, too
			results = nil
		}
		return results, nil, err
	}
	for i, p := range a.Ahead {
		met, err := c.asked(p.If)
		if err != nil {
			return results, answers, nil // of what comes behind it nobody hears
		}
		for _, answer := range met {
			if answer.Exit != 0 {
				return results, answers, nil
			}
		}
		p.Begun = true
		if p.Begins != nil {
			p.Begins(0)
		}
		if p.Results, ok, p.Err = c.runSome(ctx, p.Commands, func(i int, r remote.Result) {
			if r.Exit == 0 && p.Begins != nil {
				p.Begins(i + 1)
			}
		}); !ok {
			lost(p.Commands[min(len(p.Results)+1, len(p.Commands)):], a.Ahead[i+1:], p.Err)
			return results, answers, nil
		}
		if p.Answers, p.Err = c.asked(p.Then); p.Err != nil {
			if c.host.cut() {
				p.Results = nil
			}
			return results, answers, nil
		}
	}
	return results, answers, nil
}

// goOn does what was sent behind a long command although the connection was lost.
func (c *fakeConn) goOn(commands []remote.Command, behind []*remote.Ahead) {
	for _, l := range c.host.long {
		if l.result.Exit != 0 {
			return
		}
	}
	unheard := &fakeConn{stage: c.stage, name: c.name, host: c.host, done: make(chan struct{})}
	if _, ok, _ := unheard.runSome(context.Background(), commands, nil); !ok {
		return
	}
	for _, p := range behind {
		met, err := unheard.asked(p.If)
		if err != nil || slices.ContainsFunc(met, func(a remote.Answer) bool { return a.Exit != 0 }) {
			return
		}
		if _, ok, _ := unheard.runSome(context.Background(), p.Commands, nil); !ok {
			return
		}
	}
}

// runSome runs commands until one fails, and reports whether none did.
func (c *fakeConn) runSome(ctx context.Context, commands []remote.Command, ended func(int, remote.Result)) (results []remote.Result, ok bool, err error) {
	for i, cmd := range commands {
		r, err := c.Run(ctx, cmd)
		if err != nil {
			return results, false, err
		}
		results, c.host.exited = append(results, r), r.Exit
		if ended != nil {
			ended(i, r)
		}
		if r.Exit != 0 && !slices.Contains(cmd.OK, r.Exit) {
			return results, false, nil
		}
	}
	return results, true, nil
}

func (c *fakeConn) asked(queries []remote.Query) ([]remote.Answer, error) {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	answers, err := c.answer(queries)
	if c.host.deaf && slices.ContainsFunc(queries, func(q remote.Query) bool { return q.Script == clearsKept }) {
		c.host.dead = true
		return nil, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	return answers, err
}

func (c *fakeConn) WriteFile(context.Context, remote.File) (remote.Written, error) {
	return remote.Written{}, errors.New("not used")
}
func (c *fakeConn) Prepare()                 { c.stage.note("prepare " + c.name) }
func (c *fakeConn) Spare()                   { c.stage.note("spare " + c.name) }
func (c *fakeConn) As(string) remote.Session { return c }
func (c *fakeConn) User() string             { return "root" }
func (c *fakeConn) Stats() remote.Stats {
	return remote.Stats{Latency: c.stage.latency, Hand: c.stage.hand}
}
func (c *fakeConn) Done() <-chan struct{} { return c.done }
func (c *fakeConn) Close() error          { return nil }
