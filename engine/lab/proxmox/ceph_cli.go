package proxmox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object that keeps the order of its keys, as Ceph's formatter does.
type object []member
type member struct {
	key   string
	value any
}

// obj returns an object with alternating keys and values.
func obj(pairs ...any) object {
	var o object
	for i := 0; i+1 < len(pairs); i += 2 {
		o = append(o, member{pairs[i].(string), pairs[i+1]})
	}
	return o
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.WriteString(strings.TrimSuffix(canonical(m.value), "\n"))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// list returns items as a JSON array that is never null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// reply is the response of the monitors, or of a manager, to a command.
type reply struct {
	// value is printed if JSON is requested or, indented, if text is empty.
	value any
	text  string
	// plain prints text even if it is empty.
	plain bool
	// onlyText makes note and failure part of the text: JSON has the value alone, and succeeds.
	onlyText bool
	// note goes to standard error: the messages of commands that change something.
	note string
	// errno and err describe a failure.
	errno int
	err   string
	// changed is set if a map has changed, which takes a moment.
	changed bool
}

var errnoNames = map[int]string{1: "EPERM", 2: "ENOENT", 11: "EAGAIN", 13: "EACCES", 16: "EBUSY", 17: "EEXIST", 22: "EINVAL", 33: "EDOM", 34: "ERANGE", 39: "ENOTEMPTY"}

const (
	ePERM  = 1
	eNOENT = 2
	eAGAIN = 11
	eBUSY  = 16
	eEXIST = 17
	eINVAL = 22
	eRANGE = 34
)

func refuse(errno int, format string, args ...any) reply {
	return reply{errno: errno, err: fmt.Sprintf(format, args...)}
}

func note(format string, args ...any) reply { return reply{note: fmt.Sprintf(format, args...)} }

func changed(format string, args ...any) reply {
	return reply{note: fmt.Sprintf(format, args...), changed: true}
}

// invalid returns the response to a malformed command: the problem, then the usage.
func invalid(problem, usage string) reply {
	return reply{errno: -eINVAL, err: problem + "\n" + usage + "\nError EINVAL: invalid command"}
}

// cephCommand is a command of the monitors or of a manager module.
type cephCommand struct {
	words string
	// mgr is set for a command that a manager handles: without a manager it never returns.
	mgr bool
	// input adds the file given with the client's -i to the arguments.
	input bool
	run   func(v *view, c *Ceph, args []string) reply
}

const cephUsage = `usage: ceph [-h] [-c CEPHCONF] [-i INPUT_FILE] [-o OUTPUT_FILE]
            [--setuser SETUSER] [--setgroup SETGROUP] [--id CLIENT_ID]
            [--name CLIENT_NAME] [--cluster CLUSTER]
            [--admin-daemon ADMIN_SOCKET] [-s] [-w] [--watch-debug]
            [--watch-info] [--watch-sec] [--watch-warn] [--watch-error]
            [-W WATCH_CHANNEL] [--version] [--verbose] [--concise]
            [-f {json,json-pretty,xml,xml-pretty,plain,yaml}]
            [--connect-timeout CLUSTER_TIMEOUT] [--block] [--period PERIOD]
`

// blockLimit is how long a command waits without a response before it gives up.
const blockLimit = 300 * time.Second

// cephArguments splits the client's own options from the rest.
type cephArguments struct {
	format, conf  string
	input, output string
	timeout       time.Duration
	version       bool
	words         []string
}

func parseCeph(args []string) (a cephArguments, problem string) {
	a.conf = "/etc/ceph/ceph.conf"
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		take := func() bool {
			if given {
				return true
			}
			if i+1 >= len(args) {
				return false
			}
			i++
			value = args[i]
			return true
		}
		switch name {
		case "-s", "--status":
			a.words = append([]string{"status"}, a.words...)
		case "-v", "--version":
			a.version = true
		case "--verbose", "--concise":
		case "-f", "--format":
			if !take() {
				return a, "argument -f/--format: expected one argument"
			}
			if !slices.Contains([]string{"json", "json-pretty", "xml", "xml-pretty", "plain", "yaml"}, value) {
				return a, fmt.Sprintf("argument -f/--format: invalid choice: '%s' (choose from 'json', 'json-pretty', 'xml', 'xml-pretty', 'plain', 'yaml')", value)
			}
			a.format = value
		case "--connect-timeout":
			if !take() {
				return a, "argument --connect-timeout: expected one argument"
			}
			seconds, err := strconv.Atoi(value)
			if err != nil {
				return a, fmt.Sprintf("argument --connect-timeout: invalid int value: '%s'", value)
			}
			a.timeout = time.Duration(seconds) * time.Second
		case "-c", "--conf", "--id", "-n", "--name", "--cluster", "-k", "--keyring", "-m", "-i", "-o":
			if !take() {
				return a, "argument " + name + ": expected one argument"
			}
			switch name {
			case "-c", "--conf":
				a.conf = value
			case "-i":
				a.input = value
			case "-o":
				a.output = value
			}
		default:
			a.words = append(a.words, args[i])
		}
	}
	return a, ""
}

// ceph implements the program ceph.
func ceph(c *Command) int {
	a, problem := parseCeph(c.Argv[1:])
	if problem != "" {
		fmt.Fprintf(c.Stderr, "%sceph: error: %s\n", cephUsage, problem)
		return 2
	}
	if a.version {
		c.printf("%s\n", versionLine(upstream(c.Node.Version("ceph-common"))))
		return 0
	}
	if code := c.cephClient(a); code != 0 {
		return code
	}
	if len(a.words) == 0 {
		return c.interactive(a)
	}
	command, args, ok := findCeph(a.words)
	if !ok {
		return c.die(eINVAL, "%s", unknownCeph(a.words))
	}
	if command.input {
		data, code := c.inputFile(a.input)
		if code != 0 {
			return code
		}
		args = append(args, data)
	}
	if a.output != "" && !c.Node.Exists(path.Dir(c.path(a.output))) {
		return c.die(1, "Can't open output file %s: [Errno 2] No such file or directory: '%s'", a.output, a.output)
	}
	r, err := c.ask(command, args, a.timeout)
	if err != nil {
		return c.die(1, "%s", err)
	}
	return c.replyTo(a.output, r, a)
}

// upstream returns the Ceph version in the version of a package.
func upstream(version string) string {
	v, _, _ := strings.Cut(version, "-")
	v, _, _ = strings.Cut(v, "+")
	return v
}

// cephClient checks what the client library needs to look for a monitor.
func (c *Command) cephClient(a cephArguments) int {
	if c.User != "" && c.User != "root" {
		return c.die(13, "[errno 13] RADOS permission denied (error connecting to the cluster)")
	}
	text, err := c.Node.ReadFile(a.conf)
	if err != nil {
		return c.die(1, "Error initializing cluster client: ObjectNotFound('RADOS object not found (error calling conf_read_file)')")
	}
	conf := parseCephConf(string(text))
	if strings.TrimSpace(conf.get("global", "mon_host")) == "" {
		stamp := c.World.clock.Now().UTC().Format("2006-01-02T15:04:05.000-0700")
		return c.die(1, "unable to get monitor info from DNS SRV with service name: ceph-mon\n%s 7f69304726c0 -1 failed for service _ceph-mon._tcp\n%s 7f69304726c0 -1 monclient: get_monmap_and_config cannot identify monitors to contact\n[errno 2] RADOS object not found (error connecting to the cluster)", stamp, stamp)
	}
	if _, err := c.Node.ReadFile("/etc/pve/" + adminKeyring); err != nil {
		if _, err := c.Node.ReadFile("/etc/ceph/ceph.client.admin.keyring"); err != nil {
			stamp := c.World.clock.Now().UTC().Format("2006-01-02T15:04:05.000-0700")
			return c.die(1, "%s 7fc22511b6c0 -1 auth: unable to find a keyring on /etc/pve/priv/ceph.client.admin.keyring: (2) No such file or directory\n[errno 2] RADOS object not found (error connecting to the cluster)", stamp)
		}
	}
	return 0
}

var errTimedOut = errors.New("timed out")

// ask sends a command. It waits while the monitors elect a leader and blocks without a quorum. A command that a manager
// handles blocks without a manager, even beyond its timeout.
func (c *Command) ask(command cephCommand, args []string, timeout time.Duration) (r reply, err error) {
	start := c.slept
	if timeout == 0 {
		timeout = blockLimit
	}
	for {
		var wait time.Duration
		c.World.at(func(v *view) {
			ceph := v.cephOf(c.Node.Name())
			switch {
			case ceph == nil:
				wait = timeout
			case v.electing(ceph) > 0:
				wait = v.electing(ceph)
			case !v.monQuorum(ceph):
				wait = time.Second
			case command.mgr && ceph.ActiveMgr == "":
				wait, timeout = time.Second, blockLimit
			default:
				r = command.run(v, ceph, args)
			}
		})
		if wait == 0 {
			break
		}
		if left := timeout - (c.slept - start); left <= 0 {
			return r, errTimedOut
		} else if wait > left {
			wait = left
		}
		if err := c.sleep(wait); err != nil {
			return r, errTimedOut
		}
	}
	if r.changed {
		c.changed = true
		return r, c.sleep(time.Second)
	}
	return r, nil
}

// cephOf returns the Ceph cluster that a node's ceph.conf describes.
func (v *view) cephOf(node string) *Ceph {
	db := v.database(node)
	if db == nil {
		return nil
	}
	return v.Ceph[db.ID]
}

func (c *Command) showReply(r reply, a cephArguments) int {
	asJSON := strings.HasPrefix(a.format, "json")
	if asJSON && r.onlyText {
		r.errno, r.note = 0, ""
	}
	switch {
	case r.errno != 0:
		if asJSON {
			c.printf("\n")
		}
		if r.errno < 0 {
			return c.die(-r.errno, "%s", r.err)
		}
		if r.text != "" {
			c.printf("%s", r.text)
		}
		return c.die(r.errno, "Error %s: %s", errnoNames[r.errno], r.err)
	case asJSON && r.value != nil:
		text := canonical(r.value)
		if a.format == "json-pretty" {
			text = indent(r.value)
		}
		c.printf("\n%s", text)
	case asJSON && r.text == "":
		c.printf("\n")
	case r.text != "":
		c.printf("%s", r.text)
	case r.value != nil && !r.plain:
		c.printf("%s", indent(r.value))
	}
	if r.note != "" {
		fmt.Fprintln(c.Stderr, r.note)
	}
	return 0
}

func indent(value any) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(strings.TrimSuffix(canonical(value), "\n")), "", "    "); err != nil {
		return canonical(value)
	}
	b.WriteByte('\n')
	return b.String()
}

// findCeph returns the command with the longest match of leading words.
func findCeph(words []string) (cephCommand, []string, bool) {
	for n := min(4, len(words)); n > 0; n-- {
		name := strings.Join(words[:n], " ")
		for _, command := range cephCommands() {
			if command.words == name {
				return command, words[n:], true
			}
		}
	}
	return cephCommand{}, nil, false
}

// cephFamilies are the first words of Ceph's own commands.
var cephFamilies = []string{"auth", "balancer", "config", "config-key", "crash", "device", "df", "fs", "fsid", "health", "log", "mds", "mgr", "mon", "node", "orch", "osd", "pg",
	"progress", "quorum_status", "service", "status", "telemetry", "tell", "time-sync-status", "version", "versions"}

// unknownCeph returns what ceph prints about a command that is not simulated: that it is not, if it looks like one of
// Ceph's own, and otherwise what the real one prints.
func unknownCeph(words []string) string {
	if slices.Contains(cephFamilies, words[0]) {
		return "ceph: not supported on simulated nodes: " + strings.Join(words, " ")
	}
	return "no valid command found; 10 closest matches:\npg stat\nosd df\nosd perf\nError EINVAL: invalid command"
}

// flagged separates the confirmation flags from the arguments.
func flagged(args []string) (rest []string, sure bool) {
	for _, arg := range args {
		if strings.HasPrefix(arg, "--yes-i-really") {
			sure = true
			continue
		}
		rest = append(rest, arg)
	}
	return rest, sure
}

func cephCommands() []cephCommand {
	return slices.Concat(statusCommands(), reportCommands(), osdCommands(), groupFlagCommands(), reweightCommands(), crushCommands(), crushFileCommands(), poolCommands(), mdsCommands(), balancerCommands())
}
