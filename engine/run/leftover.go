package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/report"
)

// flushKept sends the nodes the records that did not travel along with anything else.
func (c *conductor) flushKept() {
	if c.check {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, h := range c.hosts.all() {
		if c.check {
			break
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			_ = h.keeper.flush(ctx) // at worst, a handler stays due and runs once more
		}()
	}
	wg.Wait()
}

// reportLeftovers lists what hosts have undone, the notified handlers that did not run because their hosts were lost or
// the run was interrupted, and what is still due on the hosts.
func (c *conductor) reportLeftovers() {
	known := map[string]handlerKey{}
	for _, play := range c.playbook.Plays {
		for _, t := range play.Handlers {
			known[nodestate.Name(play.Name, t.Name)] = handlerKey{play: play.Name, handler: t.Name}
		}
	}
	kept, lost, still, unsure := map[string][]string{}, map[string][]string{}, map[string][]string{}, map[string][]string{}
	var strange []string
	left := c.notifications.left()
	for _, h := range c.hosts.all() {
		for _, key := range left {
			switch {
			case key.host != h.Name, h.keeper.doubts(nodestate.Name(key.play, key.handler)):
			case h.keeper.remembers(nodestate.Name(key.play, key.handler)):
				kept[key.handler] = append(kept[key.handler], h.Name)
			default:
				lost[key.handler] = append(lost[key.handler], h.Name)
			}
		}
		for _, d := range h.keeper.all() {
			key, is := known[d.ID]
			key.host = h.Name
			switch {
			case !is:
				strange = append(strange, h.Name+": "+d.String()+"; "+advice(d, c.playbook.Path, h.Name))
			case h.keeper.doubts(d.ID):
				unsure[key.handler] = append(unsure[key.handler], h.Name)
			case !slices.Contains(left, key):
				still[key.handler] = append(still[key.handler], h.Name)
			}
		}
	}
	for _, h := range c.hosts.all() {
		for _, u := range h.keeper.undone() {
			c.report(report.Note{Text: h.Name + ": " + u.String()})
		}
	}
	note := func(start string, handlers map[string][]string, end string) {
		if len(handlers) > 0 {
			c.report(report.Note{Text: start + onHosts(handlers) + "; " + end})
		}
	}
	note("notified but not run: ", kept, "the next run of this playbook runs them")
	note("notified but not run: ", lost, "run them by hand: the next run may find their tasks already done and not notify them")
	if !c.check {
		note("still due: ", still, "the next run of this playbook runs them")
		note("the connection was lost before the answer whether they are still due: ", unsure, "if so, the next run of this playbook runs them")
	}
	for _, text := range strange {
		c.report(report.Note{Text: text})
	}
}

// onHosts lists handlers with their hosts.
func onHosts(byHandler map[string][]string) string {
	var all []string
	for name, hosts := range byHandler {
		slices.Sort(hosts)
		all = append(all, fmt.Sprintf("%q on %s", name, strings.Join(hosts, ", ")))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// advice says what to do about a due handler that is not in the playbook.
func advice(d nodestate.Due, playbook, host string) string {
	how := "run a playbook that has it"
	if d.Playbook != "" && d.Playbook != playbook {
		how = "run " + d.Playbook
	}
	return fmt.Sprintf("this playbook has no such handler: %s, or clear it with hlplay status %s --clear --reason WHY", how, host)
}
