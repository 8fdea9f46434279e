package proxmox

import (
	"bufio"
	"context"
	"embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
)

// Command is one execution of a simulated program on a node.
type Command struct {
	World  *World
	Node   Node
	Argv   []string // Argv[0] is the program's name
	Dir    string   // the working directory
	User   string   // the user who runs it; empty means root
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Exec runs another program on the node with the same streams. It is nil if the node cannot do that.
	Exec func(argv ...string) int
	// Spend lets d of the lab's time pass, as the program's running time. It returns false if the program was killed
	// meanwhile. If it is nil, only the lab's clock moves.
	Spend func(d time.Duration) bool

	ctx     context.Context
	input   *bufio.Reader
	changed bool // whether the program has changed something
	// slept is how long the program has waited. Its timeouts use this, because others may move the lab's clock between
	// two of its polls.
	slept time.Duration
}

// Program implements a simulated program and returns the exit code.
type Program func(c *Command) int

// Programs returns all simulated programs by name.
func Programs() map[string]Program {
	return map[string]Program{
		"pvecm": perlProgram("pvecm", pvecmCommands), "pveceph": perlProgram("pveceph", pvecephCommands),
		"ha-manager": perlProgram("ha-manager", haManagerCommands), "pvesm": perlProgram("pvesm", pvesmCommands),
		"qm": perlProgram("qm", qmCommands), "pct": perlProgram("pct", pctCommands),
		"pve-firewall": perlProgram("pve-firewall", firewallCommands),
		"vzdump":       vzdump, "pvesh": pvesh, "pveversion": pveversion, "pve8to9": pve8to9,
		"corosync-quorumtool": corosyncQuorumtool, "corosync-cfgtool": corosyncCfgtool, "corosync-cmapctl": corosyncCmapctl,
		"ceph": ceph, "ceph-volume": cephVolume, "crushtool": crushtool,
	}
}

// Run runs a program. For an unknown name it returns 127.
func Run(ctx context.Context, c *Command) int {
	program := Programs()[c.Argv[0]]
	if program == nil {
		fmt.Fprintf(c.Stderr, "%s: command not found\n", c.Argv[0])
		return 127
	}
	c.ctx = ctx
	return program(c)
}

// sleep spends d of the program's running time. It returns an error if the program is killed.
func (c *Command) sleep(d time.Duration) error {
	c.slept += d
	if c.Spend == nil {
		return c.World.clock.Sleep(c.ctx, d)
	}
	if !c.Spend(d) {
		return context.Canceled
	}
	return nil
}

func (c *Command) printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format, args...) }

// die prints a message to standard error and returns code.
func (c *Command) die(code int, format string, args ...any) int {
	fmt.Fprintf(c.Stderr, format+"\n", args...)
	return code
}

// notSimulated reports what the lab does not implement, although the real program may.
func (c *Command) notSimulated(what string) int {
	return c.die(2, "%s: not supported on simulated nodes: %s", c.Argv[0], what)
}

// line reads a line of standard input; ok is false at its end.
func (c *Command) line() (text string, ok bool) {
	if c.input == nil {
		if c.Stdin == nil {
			return "", false
		}
		c.input = bufio.NewReader(c.Stdin)
	}
	text, err := c.input.ReadString('\n')
	return strings.TrimRight(text, "\r\n"), err == nil || text != ""
}

// The exit codes of PVE's Perl programs depend on what is left in errno. These were recorded.
const (
	exitDie     = 255 // an uncaught die with errno unset
	exitENOENT  = 2   // ... with errno from a missing file
	exitEACCES  = 13  // ... from a lock in a read-only /etc/pve
	exitREFUSED = 111 // ... from a socket without a listener
	exitEAGAIN  = 11  // ... from the resolver
	exitEEXIST  = 17  // ... from a directory that was created
)

//go:embed help
var helpTexts embed.FS

// helpText returns a recorded usage text, that of PVE 8 where the two differ.
func helpText(name, debian string) string {
	for _, file := range []string{"help/" + name + "." + debian + ".txt", "help/" + name + ".txt"} {
		if text, err := helpTexts.ReadFile(file); err == nil {
			return string(text)
		}
	}
	return ""
}

// perlCommand is a subcommand of a PVE program.
type perlCommand struct {
	name string // "create", "rules add"
	// args are the required positional arguments. usage follows the name in the usage line.
	args    []string
	usage   string
	options map[string]check
	// checks validate positional arguments.
	checks map[string]check
	// debian restricts the command to one release.
	debian string
	run    func(c *Command, a arguments) int
}

// arguments are the arguments of a command, by name.
type arguments struct {
	values map[string]string
	// extra are additional positional arguments, for commands that take any number.
	extra []string
}

func (a arguments) get(name string) string { return a.values[name] }
func (a arguments) has(name string) bool   { _, ok := a.values[name]; return ok }
func (a arguments) or(name, other string) string {
	if a.has(name) {
		return a.values[name]
	}
	return other
}
func (a arguments) bool(name string) bool { return truth(a.values[name]) }
func (a arguments) int(name string, other int) int {
	if n, err := strconv.Atoi(a.values[name]); err == nil {
		return n
	}
	return other
}

func truth(text string) bool {
	switch strings.ToLower(text) {
	case "1", "yes", "on", "true":
		return true
	}
	return false
}

// check returns the problem with a value, or "".
type check func(value string) string

func anyText(string) string { return "" }

func boolean(value string) string {
	switch strings.ToLower(value) {
	case "0", "1", "yes", "no", "on", "off", "true", "false":
		return ""
	}
	return fmt.Sprintf("type check ('boolean') failed - got '%s'", value)
}

func integer(low, high int) check {
	return func(value string) string {
		n, err := strconv.Atoi(value)
		switch {
		case err != nil:
			return fmt.Sprintf("type check ('integer') failed - got '%s'", value)
		case n < low:
			return fmt.Sprintf("value must have a minimum value of %d", low)
		case high > 0 && n > high:
			return fmt.Sprintf("value must have a maximum value of %d", high)
		}
		return ""
	}
}

func oneOf(values ...string) check {
	return func(value string) string {
		for _, v := range values {
			if v == value {
				return ""
			}
		}
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", value, strings.Join(values, ", "))
	}
}

var nodeName = pattern.New(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)

// Messages of format problems end with a newline, so an empty line follows them.
func isNodeName(value string) string {
	if !nodeName.MatchString(value) {
		return "invalid format - value does not look like a valid node name\n"
	}
	return ""
}

func matching(pattern string) check {
	re := regexp.MustCompile(pattern)
	return func(value string) string {
		if !re.MatchString(value) {
			return "value does not match the regex pattern"
		}
		return ""
	}
}

// isFlag reports whether an option with this check is a boolean.
func isFlag(c check) bool {
	return c != nil && c("no") == "" && c("1") == "" && c("maybe") != "" && c("yes") == ""
}

// perlProgram returns a program with subcommands, run as by PVE::CLIHandler.
func perlProgram(name string, commands func() []perlCommand) Program {
	return func(c *Command) int {
		all := commands()
		debian := c.Node.Debian()
		args := c.Argv[1:]
		if c.User != "" && c.User != "root" {
			return c.die(exitDie, "please run as root")
		}
		if len(args) == 0 {
			return c.die(exitDie, "ERROR: no command specified\n%s", strings.TrimSuffix(helpText(name, debian), "\n"))
		}
		command, rest, ok := findCommand(all, args, debian)
		if !ok && strings.Contains(helpText(name, debian), "       "+name+" "+args[0]+" ") {
			return c.notSimulated(strings.Join(args[:min(2, len(args))], " "))
		}
		if !ok {
			return c.die(exitDie, "ERROR: unknown command '%s %s'\n%s", name, args[0], strings.TrimSuffix(helpText(name, debian), "\n"))
		}
		usage := strings.TrimRight(name+" "+command.name+" "+command.usage, " ")
		if command.usage == "" || strings.HasPrefix(command.usage, "[OPTIONS]") {
			usage = name + " " + command.name + " " + command.usage
			if command.usage != "" {
				usage = name + " " + command.name + "  " + command.usage
			}
		}
		a, problem := parseArguments(c, command, rest)
		if problem != "" {
			return c.die(exitDie, "%s\n%s", problem, usage)
		}
		if problems := a.verify(command); problems != "" {
			code := exitDie
			if name == "pveceph" || name == "pvesh" {
				code = exitENOENT
			}
			return c.die(code, "400 Parameter verification failed.\n%s%s", problems, usage)
		}
		if !c.connected() {
			return exitREFUSED
		}
		return command.run(c, a)
	}
}

// findCommand finds the command that args begin with. A unique prefix of each word suffices.
func findCommand(all []perlCommand, args []string, debian string) (perlCommand, []string, bool) {
	for words := min(3, len(args)); words > 0; words-- {
		var found []perlCommand
		for _, command := range all {
			if command.debian != "" && command.debian != debian {
				continue
			}
			parts := strings.Fields(command.name)
			if len(parts) != words {
				continue
			}
			exact, prefix := true, true
			for i, part := range parts {
				exact = exact && part == args[i]
				prefix = prefix && strings.HasPrefix(part, args[i])
			}
			if exact {
				return command, args[words:], true
			}
			if prefix {
				found = append(found, command)
			}
		}
		if len(found) == 1 {
			return found[0], args[words:], true
		}
	}
	return perlCommand{}, nil, false
}

var linkOption = pattern.New(`^link[0-7]$`)

func (p perlCommand) option(name string) (check, bool) {
	if chk, ok := p.options[name]; ok {
		return chk, true
	}
	if chk, ok := p.options["link[n]"]; ok && linkOption.MatchString(name) {
		return chk, true
	}
	return nil, false
}

// parseArguments separates options from positional arguments as Getopt::Long does.
func parseArguments(c *Command, p perlCommand, args []string) (arguments, string) {
	a := arguments{values: map[string]string{}}
	var positional []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			positional = append(positional, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" || regexp.MustCompile(`^-\d`).MatchString(arg) {
			positional = append(positional, arg)
			continue
		}
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		chk, known := p.option(name)
		if !known {
			fmt.Fprintf(c.Stderr, "Unknown option: %s\n", name)
			return a, "400 unable to parse option"
		}
		if !given {
			switch {
			case isFlag(chk):
				value = "1"
				if i+1 < len(args) && boolean(args[i+1]) == "" {
					i++
					value = args[i]
				}
			case i+1 < len(args):
				i++
				value = args[i]
			default:
				fmt.Fprintf(c.Stderr, "Option %s requires an argument\n", name)
				return a, "400 unable to parse option"
			}
		}
		if old, again := a.values[name]; again && p.options[name] != nil && name == "map" {
			value = old + repeated + value
		}
		a.values[name] = value
	}
	if len(positional) < len(p.args) {
		return a, "400 not enough arguments"
	}
	for i, name := range p.args {
		a.values[name] = positional[i]
	}
	a.extra = positional[len(p.args):]
	if len(a.extra) > 0 && p.checks["extra"] == nil {
		return a, "400 too many arguments"
	}
	return a, ""
}

// verify checks the values. It returns one line per problem.
func (a arguments) verify(p perlCommand) string {
	var problems []string
	for name, value := range a.values {
		chk, ok := p.option(name)
		if !ok {
			chk = p.checks[name]
		}
		if chk == nil {
			continue
		}
		if problem := chk(value); problem != "" {
			problems = append(problems, name+": "+problem+"\n")
		}
	}
	slices.Sort(problems)
	return strings.Join(problems, "")
}
