package pvecm

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
)

// carryOut returns the steps that make changes in one or two versions of corosync.conf, and the guard that reverts them.
func (l *linkage) carryOut(ctx context.Context, changes []change) ([]modules.Step, *modules.Guard, error) {
	conf, between := l.conf, ""
	var says []string
	var fresh []int
	var stages []stage
	for _, c := range changes {
		says = append(says, c.says)
		switch {
		case c.gone:
			conf = conf.WithoutLink(c.number())
			continue
		case c.moves:
			without := conf.WithoutLink(c.number())
			between = without.Text(l.conf.Version())
			stages = append(stages, l.stage(fmt.Sprintf("take link%s out, because corosync does not change an address in place", c.Name), without, 1))
			conf = without
		}
		conf = conf.WithLink(c.number(), c.Addresses, c.priority)
		fresh = append(fresh, c.number())
	}
	stages = append(stages, l.stage(strings.Join(says, ", "), conf, len(stages)+1, fresh...))
	steps, err := l.write(ctx, stages)
	if err != nil || len(steps) == 0 {
		return nil, nil, err
	}
	undo := []string{"sh", "-c", putBack, "sh", trimmed(l.file), trimmed(l.conf.Text(l.conf.Version())), trimmed(between)}
	for _, s := range stages {
		undo = append(undo, trimmed(s.text))
	}
	guard := &modules.Guard{Within: l.m.Rollback, Undo: [][]string{undo}, Outlives: true}
	for _, name := range l.cluster.Names() {
		argv := []string{"sh", "-c", proven, "sh", strconv.Itoa(stages[len(stages)-1].version), strconv.Itoa(len(l.cluster.Members) - 1)}
		for _, link := range fresh {
			argv = append(argv, strconv.Itoa(link))
		}
		proof := modules.Proof{Summary: "the links of " + name, Argv: argv, Limit: 20 * time.Second, Explain: lastWords}
		if l.hosts[name] != l.host {
			proof.On = l.hosts[name]
		}
		guard.Proofs = append(guard.Proofs, proof)
	}
	return steps, guard, nil
}

// stage is one of the versions of corosync.conf to write.
type stage struct {
	says, text string
	version    int
	expect     []observe.Expectation
}

// stage returns the version of corosync.conf whose number is higher by above than that of the current one.
func (l *linkage) stage(says string, conf pve.CorosyncConf, above int, fresh ...int) stage {
	s := stage{version: l.conf.Version() + above}
	s.says = fmt.Sprintf("%s, in version %d of corosync.conf of cluster %s", says, s.version, l.cluster.Name)
	s.text = conf.Text(s.version)
	links := conf.Links()
	for name, h := range l.hosts {
		after := l.connected(name, conf, fresh...)
		after.Version = s.version
		s.expect = append(s.expect, pve.LinkStates.Expect("", after).On(h))
	}
	s.expect = append(s.expect, onMembers(l.host, l.cluster, func(seen *pve.Cluster) {
		seen.ConfigVersion = s.version
		seen.Members = maps.Clone(seen.Members)
		for name, m := range seen.Members {
			m.Links = map[int]string{}
			for number, addresses := range links {
				if address, ok := addresses[name]; ok {
					m.Links[number] = address
				}
			}
			seen.Members[name] = m
		}
	})...)
	return s
}

// write returns the steps that write the stages one after another, each only over the one before it, and that wait in
// between until corosync has loaded it.
func (l *linkage) write(ctx context.Context, stages []stage) ([]modules.Step, error) {
	var steps []modules.Step
	was := l.file
	for i, s := range stages {
		if i > 0 {
			steps = append(steps, modules.Step{
				Summary: fmt.Sprintf("wait until corosync has loaded version %d", stages[i-1].version),
				Action:  modules.Run{Argv: []string{"sh", "-c", loaded + `until_loaded "$1"`, "sh", strconv.Itoa(stages[i-1].version)}, Limit: time.Minute, Explain: lastWords},
				Exact:   true,
			})
		}
		written, err := conffile.Write(ctx, l.host, pve.CorosyncFile, s.text, s.says)
		if err != nil {
			return nil, err
		}
		for _, step := range written {
			if file, ok := step.Action.(modules.WriteFile); ok {
				file.Was = was
				step.Action = file
				step.Diff = &modules.Diff{Subject: pve.CorosyncFile, Before: was, After: s.text}
			}
			step.Expect = append(step.Expect, s.expect...)
			step.Risk, step.Wide = modules.CostsQuorum, true
			step.Settle, step.Await = 30*time.Second, "every corosync to use the links (corosync-cfgtool -s)"
			steps = append(steps, step)
		}
		was = s.text
	}
	return steps, nil
}
