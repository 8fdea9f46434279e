package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/term"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/project"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/engine/roles"
	"hlplay/engine/secret"
	"hlplay/modules/registry"
)

// inputFlags name the inputs of a run.
type inputFlags struct {
	keyFlags
	inventory []string
	extra     []string
	// ignoreUndeclared allows files of variables to hold more than the playbook declares.
	ignoreUndeclared bool
	// become is set if tasks run as becomeUser, or as root if that is empty, on hosts of which the inventory does not say it.
	become     bool
	becomeUser string
	// source, if not nil, is the text of the playbook, replacing its file.
	source []byte

	secrets *secret.Keyring
}

func (f *inputFlags) add(cmd *cobra.Command) {
	f.addInventory(cmd)
	f.keyFlags.add(cmd)
	cmd.Flags().StringArrayVarP(&f.extra, "extra-vars", "e", nil, "set variables: `name=value`, '{\"name\": \"value\"}', or @file (repeatable)")
	cmd.Flags().BoolVar(&f.ignoreUndeclared, "ignore-undeclared", false, "ignore variables in files (-e @FILE) that the playbook does not declare")
}

// addBecome adds the flags about the account that tasks run as.
func (f *inputFlags) addBecome(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.become, "become", "b", false, "become root, or the user that --become-user names, in tasks and on hosts that do not set it themselves")
	cmd.Flags().StringVar(&f.becomeUser, "become-user", "", "become `USER`")
}

// becoming makes tasks become another user on hosts that are reached by SSH, unless the inventory says otherwise. A single task
// (hlplay do) does so on the controller too.
func (f *inputFlags) becoming(inv *inventory.Inventory) {
	if !f.become && f.becomeUser == "" {
		return
	}
	for _, h := range inv.Hosts {
		if h.Connection == "local" && f.source == nil || h.BecomeGiven {
			continue
		}
		h.Become = true
		if h.BecomeUser == "" {
			h.BecomeUser = f.becomeUser
		}
	}
}

func (f *inputFlags) addInventory(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.inventory, "inventory", "i", nil, "inventory `PATH`: a file or a directory (repeatable, they add up)")
}

// noArguments is for commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// onePlaybook is for commands that take a playbook and nothing else.
func onePlaybook(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fmt.Errorf("no playbook given: name its file, as in hlplay %s", cmd.Use)
	case 1:
		return nil
	}
	return fmt.Errorf("expected one playbook, but got %d arguments: %s", len(args), strings.Join(args, " "))
}

// load reads the inventory, if one is named or needed, and the playbook, and checks the selection. Nothing has been
// changed yet, so an interruption ends the program at once.
func (f *inputFlags) load(ctx context.Context, path string, needInventory bool, chosen selectFlags) (*lang.Playbook, *inventory.Inventory, error) {
	f.secrets = f.keyring(ctx, !needInventory)
	type loaded struct {
		pb  *lang.Playbook
		inv *inventory.Inventory
		err error
	}
	done := make(chan loaded, 1)
	go func() {
		var l loaded
		if needInventory || len(f.inventory) > 0 {
			if l.inv, l.err = f.loadInventory(); l.err == nil {
				f.becoming(l.inv)
			}
		}
		if l.err == nil {
			l.pb, l.err = f.loadPlaybook(path, l.inv, chosen)
		}
		done <- l
	}()
	select {
	case l := <-done:
		return l.pb, l.inv, l.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// loadInventory reads the inventory, or explains what is wrong with it.
func (f *inputFlags) loadInventory() (*inventory.Inventory, error) {
	if len(f.inventory) == 0 || slices.Contains(f.inventory, "") {
		return nil, errors.New("no inventory given: name the file or directory that lists your hosts with -i PATH, or as inventory in " + project.File)
	}
	inv, diags := inventory.LoadWith(f.secrets, f.inventory...)
	var files map[string]*hcl.File
	if inv != nil {
		files = inv.Files
	}
	if !diags.HasErrors() {
		diags = append(diags, inv.Validate(lang.EvaluateHostVariable)...)
	}
	return inv, diagnosed(files, diags)
}

// loadPlaybook reads and checks a playbook. Without inv, whatever depends on it is not checked.
func (f *inputFlags) loadPlaybook(path string, inv *inventory.Inventory, chosen selectFlags) (*lang.Playbook, error) {
	o, err := f.languageOptions(inv)
	if err != nil {
		return nil, err
	}
	o.Limit, o.Tags, o.SkipTags = chosen.limit(), chosen.tags, chosen.skipTags
	read := func() (*lang.Playbook, hcl.Diagnostics) { return lang.Load(path, o) }
	if f.source != nil {
		read = func() (*lang.Playbook, hcl.Diagnostics) { return lang.LoadSource(path, f.source, o) }
	}
	pb, diags := read()
	files := maps.Clone(pb.Files)
	if inv != nil { // the inventory may not match what a playbook declares about its hosts
		maps.Copy(files, inv.Files)
	}
	if err := diagnosed(files, diags); err != nil {
		return nil, err
	}
	if len(pb.Plays) == 0 {
		return nil, fmt.Errorf("%s has no plays: add one, such as play \"…\" { hosts = \"…\" }", pb.Path)
	}
	return pb, nil
}

// languageOptions returns the inputs of a playbook other than its sources.
func (f *inputFlags) languageOptions(inv *inventory.Inventory) (lang.Options, error) {
	o := lang.Options{IgnoreUndeclared: f.ignoreUndeclared, Modules: registry.All(), Facts: map[string]cty.Type{}, Secrets: f.secrets, Roles: roles.At(".")}
	for _, f := range observe.Facts() {
		o.Facts[f.Name] = f.Type
	}
	if inv != nil {
		o.Inventory = inv
	}
	o.Environment = environment()
	for _, e := range f.extra {
		if file, ok := strings.CutPrefix(e, "@"); ok {
			if file == "" {
				return o, errors.New("-e @: name a file of values after the @")
			}
			o.ValueFiles = append(o.ValueFiles, file)
			continue
		}
		if inline(e) {
			o.Inline = append(o.Inline, e)
			continue
		}
		name, value, ok := strings.Cut(e, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return o, errors.New("-e: expected name=value, an object in JSON, or @file, but this one does not start with a name and =")
		}
		if o.Values == nil {
			o.Values = map[string]string{}
		}
		o.Values[name] = value
	}
	return o, nil
}

// inline reports whether an argument of -e is an object of variables.
func inline(e string) bool { return strings.HasPrefix(strings.TrimSpace(e), "{") }

// environment returns the variables of playbooks that are set in the environment, by name.
func environment() map[string]string {
	values := map[string]string{}
	for _, setting := range os.Environ() {
		if rest, ok := strings.CutPrefix(setting, lang.EnvironmentPrefix); ok {
			name, value, _ := strings.Cut(rest, "=")
			values[name] = value
		}
	}
	return values
}

// diagnosed prints diagnostics with their source lines. If one is an error, it returns an error without further text.
func diagnosed(files map[string]*hcl.File, diags hcl.Diagnostics) error {
	lang.WriteDiagnostics(os.Stderr, files, diags, colored(os.Stderr), width(os.Stderr))
	if !diags.HasErrors() {
		return nil
	}
	return &exitError{code: exitInput}
}

// connectFlags say how to connect to hosts.
type connectFlags struct {
	askPassword, askSudo bool
	// passwordFile and sudoPasswordFile hold the passwords that are not asked for then.
	passwordFile, sudoPasswordFile string
	acceptNew                      bool
	sshConfig                      string
	// knownHosts is the known_hosts file of hosts for which the inventory sets none.
	knownHosts string
	// rehearsal is the number of simulated nodes, for which the user's SSH configuration and agent are not used, or
	// zero.
	rehearsal int
}

// simulated returns an inventory of simulated nodes, one per host, and the function that ends them, if hosts are to be
// simulated. Otherwise it returns inv.
func (f *connectFlags) simulated(ctx context.Context, inv *inventory.Inventory, simulate bool) (of *inventory.Inventory, end func(), err error) {
	if !simulate {
		return inv, func() {}, nil
	}
	stage, err := lab.Start(ctx, inv, lab.Options{})
	if err != nil {
		return nil, nil, err
	}
	f.rehearsal = len(inv.Hosts)
	return stage.Inventory(), func() { stage.Close() }, nil
}

func (f *connectFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.askPassword, "ask-pass", "k", false, "ask for the login password")
	cmd.Flags().BoolVarP(&f.askSudo, "ask-become-pass", "K", false, "ask for the sudo password")
	cmd.Flags().StringVar(&f.passwordFile, "connection-password-file", "", "read the login password from `FILE`, or run it if it is executable")
	cmd.Flags().StringVar(&f.sudoPasswordFile, "become-password-file", "", "read the sudo password from `FILE`, or run it if it is executable")
	cmd.Flags().BoolVar(&f.acceptNew, "accept-new-host-keys", false, "record the keys of hosts seen for the first time; changed keys are still refused")
	cmd.Flags().StringVar(&f.sshConfig, "ssh-config", "", "read `FILE` instead of ~/.ssh/config")
	cmd.Flags().StringVar(&f.knownHosts, "known-hosts", "", "read host keys from `FILE` instead of your known_hosts, unless the inventory names another")
}

// connect returns the function that connects to a host of the inventory. All hosts share the user's answers.
func (f *connectFlags) connect(suspend func(func())) func(context.Context, *inventory.Host) (remote.Conn, error) {
	o := f.reach()
	o.AskPassword, o.AskSudoPassword = f.askPassword || f.passwordFile != "", f.askSudo || f.sudoPasswordFile != ""
	o.Password, o.SudoPassword = passwordIn(f.passwordFile), passwordIn(f.sudoPasswordFile)
	o.Ask, o.Remark, o.Secrets, o.Dials = prompter(suspend), remarker(suspend), &remote.Secrets{}, &remote.DialLimiter{}
	if f.acceptNew {
		o.HostKeys = remote.AcceptNew
	}
	return func(ctx context.Context, h *inventory.Host) (remote.Conn, error) {
		if h.Connection == "local" {
			return remote.Local(h.Name), nil
		}
		return remote.Dial(ctx, f.target(h), o)
	}
}

// passwordIn returns the function that reads a password from a file, once; nil without a file.
func passwordIn(file string) func() (string, error) {
	if file == "" {
		return nil
	}
	return sync.OnceValues(func() (string, error) { return secret.ReadPassword(context.Background(), file) })
}

// reach returns the options for connecting.
func (f *connectFlags) reach() remote.Options {
	if f.rehearsal > 0 {
		// The nodes share this machine's processors: two hundred of them take a while until all have answered.
		return remote.Options{SSHConfig: remote.None, Agent: remote.None, Slack: time.Duration(f.rehearsal) * time.Second}
	}
	return remote.Options{SSHConfig: f.sshConfig}
}

// prepareAloud is like prepare, for a command without a report: it prints the notes itself.
func (f *connectFlags) prepareAloud(hosts []*inventory.Host) error {
	notes, err := f.prepare(hosts)
	for _, note := range notes {
		fmt.Fprintln(os.Stderr, "hlplay: note:", note)
	}
	return err
}

// prepare checks how hosts will be reached, so that errors in the user's SSH configuration are found before the run.
func (f *connectFlags) prepare(hosts []*inventory.Host) ([]string, error) {
	var targets []remote.Target
	for _, h := range hosts {
		if h.Connection != "local" {
			targets = append(targets, f.target(h))
		}
	}
	if len(targets) == 0 {
		return nil, nil
	}
	for _, read := range []struct {
		flag, file string
		asked      bool
	}{{"--connection-password-file", f.passwordFile, f.askPassword}, {"--become-password-file", f.sudoPasswordFile, f.askSudo}} {
		switch {
		case read.file == "":
		case read.asked:
			return nil, fmt.Errorf("%s, and the same password is to be asked for: give only one of them", read.flag)
		default:
			if _, err := os.Stat(read.file); err != nil {
				return nil, fmt.Errorf("%s: %w", read.flag, err)
			}
		}
	}
	if (f.askPassword || f.askSudo) && f.rehearsal == 0 {
		tty, err := openTerminal()
		if err != nil {
			return nil, fmt.Errorf("--ask-pass and --ask-become-pass: %w", err)
		}
		tty.Close()
	}
	return remote.Check(targets, f.reach())
}

// target returns a host as a remote.Target.
func (f *connectFlags) target(h *inventory.Host) remote.Target {
	address := h.SSHAddress
	if address == "" {
		address = h.Address
	}
	knownHosts := h.KnownHosts
	if knownHosts == "" {
		knownHosts = f.knownHosts
	}
	return remote.Target{Name: h.Name, Address: address, MovedTo: h.MovedTo, Port: h.Port, User: h.User, Keys: h.Keys, KnownHosts: knownHosts}
}

// outputFlags say how to show a run.
type outputFlags struct {
	output  string
	diff    bool
	verbose bool
	noColor bool
}

func (f *outputFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.output, "output", "auto", "output `FORMAT`: auto (terminal or plain), terminal, plain, json")
	cmd.Flags().BoolVarP(&f.diff, "diff", "D", false, "show the diffs of files and settings")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "also show what is already as desired, times, and the round trips of each host")
	cmd.Flags().BoolVar(&f.noColor, "no-color", false, "disable colours")
}

// reporter returns the reporter for a run's events. w writes to file.
func (f *outputFlags) reporter(file *os.File, w io.Writer) (report.Reporter, error) {
	o := report.Options{
		Color: !f.noColor && colored(file), Width: width(file), Resized: func() int { return width(file) },
		Rows: func() int { return height(file) }, SetEcho: typing.set,
		Diff: f.diff, Verbose: f.verbose,
	}
	switch f.output {
	case "auto":
		if isTerminal(file) {
			return report.NewTerminal(w, o), nil
		}
		return report.NewPlain(w, o), nil
	case "terminal":
		return report.NewTerminal(w, o), nil
	case "plain":
		return report.NewPlain(w, o), nil
	case "json":
		return report.NewJSON(w, o), nil
	}
	return nil, fmt.Errorf("--output %s: expected auto, terminal, plain or json", f.output)
}

// isTerminal reports whether w is a terminal that can move its cursor.
func isTerminal(w *os.File) bool {
	return os.Getenv("TERM") != "dumb" && term.IsTerminal(int(w.Fd()))
}

func colored(w *os.File) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}

// height returns the height of the terminal, or zero if it is unknown.
func height(f *os.File) int {
	_, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return rows
}
