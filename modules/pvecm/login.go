package pvecm

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// login describes how root of one host can log in on another without a prompt, as pvecm does.
type login struct {
	from, to modules.Host
	// node is the node name of from. name and address are the name and the address of to.
	node, name, address string
	// reason ends the summary of the step that authorises keys.
	reason string
}

// plan plans the SSH setup: the keys that to must accept, and the host keys of to. partial is set if these steps have to
// be done before the rest can be planned.
func (l login) plan(ctx context.Context, keys func(mine pve.Trust) []string) (steps []modules.Step, partial bool, err error) {
	pve.Trusts.Want(l.to, "")
	mine, err := pve.Trusts.Observe(ctx, l.from, "")
	if err != nil {
		return nil, false, err
	}
	if mine.PublicKey == "" {
		return []modules.Step{l.makeKey(mine)}, true, nil
	}
	theirs, err := pve.Trusts.Observe(ctx, l.to, "")
	if err != nil {
		return nil, false, err
	}
	if err := hasHostKeys(l.to, theirs); err != nil {
		return nil, false, err
	}
	if missing := theirs.Missing(keys(mine)); len(missing) > 0 {
		steps = append(steps, l.authorise(theirs, missing))
	}
	if known := mine.Knowing(l.address, theirs.HostKeys); known != mine.Known {
		steps = append(steps, l.know(mine, known))
	}
	return steps, false, nil
}

// hasHostKeys rejects a host whose host keys are not known, so that no other host can verify it.
func hasHostKeys(h modules.Host, t pve.Trust) error {
	if len(t.HostKeys) == 0 {
		return fmt.Errorf("%s has no host keys in /etc/ssh: is its SSH server OpenSSH?", h.Name())
	}
	return nil
}

// makeKey creates root's RSA key, or its public half, as pvecm itself would.
func (l login) makeKey(t pve.Trust) modules.Step {
	argv := []string{"sh", "-c", "umask 077 && mkdir -p /root/.ssh && exec ssh-keygen -q -t rsa -b 4096 -N '' -f /root/.ssh/id_rsa"}
	what := "create root's SSH key"
	if t.PrivateKey {
		argv = []string{"sh", "-c", "umask 022 && ssh-keygen -y -f /root/.ssh/id_rsa >/root/.ssh/id_rsa.pub"}
		what = "write the public half of root's SSH key"
	}
	t.PrivateKey = true
	// Only check mode uses this value: a real run reads the key.
	t.PublicKey = "ssh-rsa AAAA(made-on-" + l.node + ") root@" + l.node
	return modules.Step{
		Summary: what,
		Action:  modules.Run{Argv: argv, Dir: "/root", Limit: 2 * time.Minute},
		Expect: []observe.Expectation{pve.Trusts.Expect("", t).On(l.from),
			observe.Files.Unknown("/root/.ssh/id_rsa", what).On(l.from), observe.Files.Unknown("/root/.ssh/id_rsa.pub", what).On(l.from)},
		Exact: true,
	}
}

// authorise adds keys to authorized_keys. The lines are appended, because the file of a node is a link into /etc/pve, which
// a rename would replace by a file.
func (l login) authorise(t pve.Trust, lines []string) modules.Step {
	end := cmp.Or(t.AuthorizedEnd, "\n")
	text := strings.Join(lines, end) + end
	if t.AuthorizedOpen {
		text = end + text
	}
	after := t
	after.AuthorizedOpen = false
	after.Authorized = append(append([]string{}, t.Authorized...), lines...)
	var names []string
	for _, line := range lines {
		names = append(names, keyName(line))
	}
	return modules.Step{
		Summary: fmt.Sprintf("authorise %s on %s, %s", strings.Join(names, ", "), l.to.Name(), l.reason),
		Action: modules.Run{
			Argv: []string{"tee", "-a", "/root/.ssh/authorized_keys"}, Stdin: []byte(text), Dir: "/root", Limit: time.Minute,
		},
		Diff:   &modules.Diff{Subject: "/root/.ssh/authorized_keys on " + l.to.Name(), Before: file(t.Authorized), After: file(after.Authorized)},
		Expect: []observe.Expectation{pve.Trusts.Expect("", after).On(l.to)},
		On:     l.to,
	}
}

func file(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// keyName returns the comment of a key, or its type if it has none.
func keyName(line string) string {
	fields := strings.Fields(line)
	for i, field := range fields {
		if strings.HasPrefix(field, "AAAA") {
			if i+1 < len(fields) {
				return "key " + strings.Join(fields[i+1:], " ")
			}
			if i > 0 {
				return fields[i-1] + " key"
			}
		}
	}
	return "a key"
}

// know adds to's host keys to from's known_hosts. They are read over the trusted connection, not collected from the
// network.
func (l login) know(t pve.Trust, known string) modules.Step {
	after := t
	after.Known = known
	return modules.Step{
		Summary: fmt.Sprintf("accept %s's host keys for %s", l.name, l.address),
		Action:  modules.WriteFile{Path: "/root/.ssh/known_hosts", Content: []byte(known), Was: t.Known},
		Diff:    &modules.Diff{Subject: "/root/.ssh/known_hosts", Before: t.Known, After: known},
		Expect:  []observe.Expectation{pve.Trusts.Expect("", after).On(l.from)},
	}
}
