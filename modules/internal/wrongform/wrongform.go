// Package wrongform recognizes forms from guides that are out of date or do not do what they seem to do.
package wrongform

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/modules"
)

// form is a wrong form that can be recognized in text.
type form struct {
	name string
	// pattern needs one of has. Looking for these first is a hundred times faster in a long text.
	pattern       *pattern.Regexp
	has           []string
	problem, want string
}

// everywhere lists forms that are wrong both in a command and in a file.
var everywhere = []form{
	{modules.AdviceHashPolicy, pattern.New(`\bencap(2\+3|3\+4)\b|xmit[_-]hash[_-]policy[\s=:]+["']?(encap|vlan\+srcmac|[345]\b)|\bvlan\+srcmac["']?\s*(>|\|).*/xmit_hash_policy\b`), []string{"encap", "hash"},
		"encap2+3, encap3+4 and vlan+srcmac are hash policies of the kernel, which Proxmox VE does not offer", `Write layer3+4 or layer2+3, as in network { bond "bond0" { mode = "802.3ad" hash = "layer3+4" … } }`},
	{modules.AdviceMTU, pattern.New(`\bip\s+(-\S+\s+(\S+\s+)?)*l(in?|ink)?\s+(set?|change)\b[^\n;|&]*\bmtu\s+["']?[\d$]|\bifconfig\s[^\n;|&]*\bmtu\s+["']?[\d$]|(>|\bof=|\btee\s+(-\S+\s+)*)\s*["']?/sys/(class|devices/\S+)/net/[^\s/]+/mtu\b`), []string{"mtu"},
		"an MTU set by a command is lost at the next reboot or ifreload, and nothing verifies the path", mtuWant},
	{modules.AdviceVirqfd, pattern.New(`\bvfio[_-]virqfd\b`), []string{"virqfd"},
		"vfio_virqfd has been part of vfio since kernel 6.2, and fails to load there", `Remove it: passthrough { devices = […] } loads the modules that the running kernel has`},
	{modules.AdviceBlacklistGlob, pattern.New(`(?m)(\b|_)blacklist(\s+|=(\S*,)?)["']?[A-Za-z0-9_-]*[*?\[]`), []string{"blacklist"},
		"a blacklist does not support patterns, so this has no effect", `List each name, such as nvidia, nvidia_drm, nvidia_modeset and nvidiafb; or use passthrough { devices = ["10de:*"] }`},
	{modules.AdviceBlacklistGlob, pattern.New(`\bvfio[_-]pci(\.|\s+)ids=\S*\*`), []string{"ids="},
		"vfio-pci does not accept patterns in ids, so this has no effect", `Use passthrough { devices = ["10de:*"] }, which writes the ids that the host has`},
}

// sourceFile matches the name of a file that holds the no-subscription source.
const sourceFile = `(pve-install-repo|pve-no-subscription|proxmox)\.(list|sources)\b`

// scripts lists forms that are wrong in a command, and in a file that contains commands.
var scripts = []form{
	{modules.AdviceNetworkingRestart, pattern.New(`\bsystemctl\s([^\n;|&]*\s)?((try-|cond)?restart|(try-)?reload-or-(try-)?restart|stop|kill|(disable|mask)\s+--now|--now\s+(disable|mask))\s([^\n;|&]*\s)?["']?networking(\.service)?["']?($|[\s;|&)"'])` +
		`|(\bservice\s+|\binvoke-rc\.d\s+|/etc/init\.d/)["']?networking["']?\s+["']?((force-)?re(start|load)|stop)\b|\bifdown\s+(-\S+\s+)*(-a|--all)\b`), []string{"networking", "ifdown"},
		networkingProblem, networkingWant},
	{modules.AdviceEtcHost, pattern.New("(^|[\\s\"'`=<>(:])/etc/host($|[\\s\"'`;|&<>):,])"), []string{"/etc/host"}, hostProblem, hostWant},
	{modules.AdviceNoSource, pattern.New(`\b(rm|unlink|mv|shred|truncate)\s[^\n;|&]*(sources\.list\.d/?["']?($|[\s;|&])|sources\.list\.d/((pve|proxmox)[\w-]*)?\*|\b` + sourceFile + `)` +
		`|\bfind\s[^\n;|&]*["'\s/](pve|proxmox|pve-(no|inst)[\w.-]*|` + sourceFile + `)\*?["'\s][^\n;&]*(-delete|\brm)\b` +
		`|\bsed\s[^\n|]*(\bpve-no-subscription\b[^\n/]*/\s*d\b|[/|,@]#[^\n;|&]*\b` + sourceFile + `|[/|,]\s*d["'][^\n;|&]*\b` + sourceFile + `|\bs([/|,@])[^\n]*\bpve-no-subscription\b[^\n]*[/|,@]#)` +
		`|\badd-apt-repository\s[^\n;|&]*(-r|--remove)\s[^\n;|&]*pve-no-subscription`), []string{"sources.list", "pve-no-subscription", "pve-install-repo", "proxmox."}, sourceProblem, sourceWant},
}

// commands lists forms that are wrong only in a command. What is appended to a device is not kept.
var commands = []form{
	{modules.AdviceAppend, pattern.New(`>>\s*["']?([^\s"'/&]|/([^d]|d[^e]|de[^v]|dev[^/]))`), []string{">>"}, appendProblem, appendWant},
	appends,
}

// jobs lists forms that are wrong in a recurring job and in a script. What they append outside /etc is taken for a log.
var jobs = []form{
	{modules.AdviceAppend, pattern.New(`>>\s*["']?/etc/`), []string{">>"}, appendProblem, appendWant},
	appends,
}

// appends is what appends to a file without a redirection.
var appends = form{modules.AdviceAppend, pattern.New(`\btee\s+(-\S+\s+)*(-\w*a\w*|--append)\s+(-\S+\s+)*["']?/etc/|\bsed\s[^\n;|&]*(-\w*i\S*|--in-place\S*)\s[^\n]*["'\s]\\?\$\s*a[\s\\]`), []string{"tee", "sed"},
	"every run appends the line again with tee -a or sed $a", appendWant}

const (
	networkingProblem = "restarting or stopping networking takes all interfaces down: guests lose their bridge, and the session to the host is lost"
	networkingWant    = "Use the module network, which reloads what has changed (ifreload -a) and undoes it unless hlplay can reconnect"
	appendProblem     = "every run appends the line again with >>"
	appendWant        = `Use file { path = "/etc/…" line { line = "…" } }, which adds it once`
	mtuWant           = `Use the module network, which makes it persistent and verifies it with full-size pings: network { mtu = 9000 … }`
	hostProblem       = "nothing reads /etc/host"
	hostWant          = "Write /etc/hosts"
	sourceProblem     = "this is the no-subscription source: without it the host gets no Proxmox VE updates"
	sourceWant        = `Disable the enterprise source instead: apt { disable_uris = ["https://enterprise.proxmox.com"] }`
)

// Command returns advice on the text of a command or shell script.
func Command(argument, text string) []modules.Advice {
	return find(argument, text, scripts, commands, everywhere)
}

// Job returns advice on the command of a recurring job, such as one in a crontab. A job that appends to a file outside
// /etc is assumed to write a log.
func Job(argument, text string) []modules.Advice {
	return find(argument, text, scripts, jobs, everywhere)
}

// Content returns advice on text that is written to a file.
func Content(argument, file, text string) []modules.Advice {
	if strings.HasPrefix(text, "#!") || path.Ext(file) == ".sh" || slices.ContainsFunc(commandFiles, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) {
		return Job(argument, text)
	}
	return find(argument, text, everywhere)
}

// commandFiles are the beginnings of the paths of files that contain commands: jobs, units, and what runs at boot or with an interface.
var commandFiles = []string{"/etc/cron", "/etc/anacrontab", "/var/spool/cron", "/etc/systemd/system/", "/lib/systemd/system/", "/usr/lib/systemd/system/", "/etc/rc.local", "/etc/init.d/",
	"/etc/network/if-pre-up.d/", "/etc/network/if-up.d/", "/etc/network/if-down.d/", "/etc/network/if-post-down.d/"}

func find(argument, text string, lists ...[]form) []modules.Advice {
	var all []modules.Advice
	for _, forms := range lists {
		for _, f := range forms {
			if !slices.ContainsFunc(f.has, func(part string) bool { return strings.Contains(text, part) }) || !f.pattern.MatchString(effective(text)) {
				continue
			}
			if !slices.ContainsFunc(all, func(a modules.Advice) bool { return a.Name == f.name }) {
				all = append(all, modules.Advice{Name: f.name, Argument: argument, Problem: f.problem, Want: f.want})
			}
		}
	}
	return all
}

// effective returns a text without its comments, and with continued lines joined.
func effective(text string) string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	if !strings.Contains(text, "#") {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			line = "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

var sysfsMTU = pattern.New(`^/sys/(class|devices/.+)/net/[^/]+/mtu$`)

// Path returns advice on a file that is written or, if absent is set, removed.
func Path(argument, file string, absent bool) []modules.Advice {
	dir, base := path.Split(path.Clean("/" + file))
	name := strings.TrimSuffix(base, path.Ext(base))
	switch {
	case dir+base == "/etc/host":
		return []modules.Advice{{Name: modules.AdviceEtcHost, Argument: argument, Problem: hostProblem, Want: hostWant}}
	case !absent && sysfsMTU.MatchString(dir+base):
		return []modules.Advice{{Name: modules.AdviceMTU, Argument: argument, Problem: "an MTU written to /sys is lost at the next reboot or ifreload, and nothing verifies the path", Want: mtuWant}}
	case absent && (dir+base == "/etc/apt/sources.list.d" || dir+base == "/etc/apt"):
		return noSource(argument)
	case absent && dir == "/etc/apt/sources.list.d/":
		return Source(argument, name)
	}
	return nil
}

// Source returns advice on an apt source that is removed or disabled, by the name of its file.
func Source(argument, name string) []modules.Advice {
	switch name {
	case "pve-install-repo", "proxmox", "pve-no-subscription":
		return noSource(argument)
	}
	return nil
}

// SourceLine returns advice on lines of apt sources that are removed or disabled, by their text or an expression for
// it.
func SourceLine(argument, file, text string) []modules.Advice {
	if strings.HasPrefix(file, "/etc/apt/sources.list") && strings.Contains(text, "pve-no-subscription") {
		return noSource(argument)
	}
	return nil
}

// SourceURI returns advice on sources that are disabled by their URI: Proxmox serves everything without a subscription
// from one host.
func SourceURI(argument, uri string) []modules.Advice {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() != "download.proxmox.com" {
		return nil
	}
	if dir := strings.Trim(u.Path, "/"); dir != "" && dir != "debian" && dir != "debian/pve" {
		return nil
	}
	return noSource(argument)
}

func noSource(argument string) []modules.Advice {
	return []modules.Advice{{Name: modules.AdviceNoSource, Argument: argument, Problem: sourceProblem, Want: sourceWant}}
}

// Restart returns advice on a unit that is restarted or stopped.
func Restart(argument, unit string) []modules.Advice {
	if strings.TrimSuffix(unit, ".service") != "networking" {
		return nil
	}
	return []modules.Advice{{Name: modules.AdviceNetworkingRestart, Argument: argument, Problem: networkingProblem, Want: networkingWant}}
}
