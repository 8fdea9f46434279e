// Package wrongform recognizes forms from guides that are out of date or do not do what they seem to do.
package wrongform

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"hlplay/modules"
)

// form is a wrong form that can be recognized in text.
type form struct {
	name string
	// pattern needs one of has. Looking for these first is a hundred times faster in a long text.
	pattern       *regexp.Regexp
	has           []string
	problem, want string
}

// everywhere lists forms that are wrong both in a command and in a file.
var everywhere = []form{
	{modules.AdviceHashPolicy, regexp.MustCompile(`\bencap(2\+3|3\+4)\b`), []string{"encap"},
		"encap2+3 and encap3+4 are hash policies for tunnels, which Proxmox VE does not offer", `Write layer3+4 or layer2+3, as in network { bond "bond0" { mode = "802.3ad" hash = "layer3+4" … } }`},
	{modules.AdviceMTU, regexp.MustCompile(`\bip\s+(-\S+\s+)*l(i|ink)?\s+s(et)?\b[^\n;|&]*\bmtu\s+["']?[\d$]|\bifconfig\s[^\n;|&]*\bmtu\s+["']?[\d$]|(>|\btee\s)\s*["']?/sys/class/net/[^\s/]+/mtu\b`), []string{"mtu"},
		"an MTU set by a command is lost at the next reboot or ifreload, and nothing verifies the path", `Use the module network, which makes it persistent and verifies it with full-size pings: network { mtu = 9000 … }`},
	{modules.AdviceVirqfd, regexp.MustCompile(`\bvfio[_-]virqfd\b`), []string{"virqfd"},
		"vfio_virqfd has been part of vfio since kernel 6.2, and fails to load there", `Remove it: passthrough { devices = […] } loads the modules that the running kernel has`},
	{modules.AdviceBlacklistGlob, regexp.MustCompile(`(?m)\bblacklist(\s+|=(\S*,)?)[A-Za-z0-9_-]*[*?\[]`), []string{"blacklist"},
		"a blacklist does not support patterns, so this has no effect", `List each name, such as nvidia, nvidia_drm, nvidia_modeset and nvidiafb; or use passthrough { devices = ["10de:*"] }`},
}

// scripts lists forms that are wrong in a command, and in a file that contains commands.
var scripts = []form{
	{modules.AdviceNetworkingRestart, regexp.MustCompile(`\bsystemctl\s+(-\S+\s+)*((try-)?restart|stop)\s+([\w.@-]+\s+)*networking\b|(\bservice\s+|/etc/init\.d/)networking\s+((force-)?re(start|load)|stop)\b`), []string{"networking"},
		networkingProblem, networkingWant},
	{modules.AdviceEtcHost, regexp.MustCompile(`(^|[\s"'=>])/etc/host($|[\s"';|&])`), []string{"/etc/host"}, hostProblem, hostWant},
}

// commands lists forms that are wrong only in a command.
var commands = []form{
	{modules.AdviceAppend, regexp.MustCompile(`>>`), []string{">>"},
		"every run appends the line again with >>", `Use file { path = "/etc/…" line { line = "…" } }, which adds it once`},
	{modules.AdviceNoSource, regexp.MustCompile(`\b(rm|unlink|mv)\b[^\n;|&]*/sources\.list\.d/(pve-install-repo|proxmox|pve-no-subscription)\.(list|sources)\b`), []string{"/sources.list.d/"}, sourceProblem, sourceWant},
}

const (
	networkingProblem = "restarting or stopping networking takes all interfaces down: guests lose their bridge, and the session to the host is lost"
	networkingWant    = "Use the module network, which reloads what has changed (ifreload -a) and undoes it unless hlplay can reconnect"
	hostProblem       = "nothing reads /etc/host"
	hostWant          = "Write /etc/hosts"
	sourceProblem     = "this is the no-subscription source: without it the host gets no Proxmox VE updates"
	sourceWant        = `Disable the enterprise source instead: apt { disable_uris = ["https://enterprise.proxmox.com"] }`
)

// Command returns advice on the text of a command or shell script.
func Command(argument, text string) []modules.Advice {
	return find(argument, text, scripts, commands, everywhere)
}

// Job returns advice on the command of a recurring job, such as one in a crontab. A job that appends to a file is
// assumed to write a log.
func Job(argument, text string) []modules.Advice {
	return find(argument, text, scripts, everywhere)
}

// Content returns advice on text that is written to a file.
func Content(argument, file, text string) []modules.Advice {
	if path.Ext(file) == ".sh" || slices.ContainsFunc(commandFiles, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) {
		return Job(argument, text)
	}
	return find(argument, text, everywhere)
}

// commandFiles are the beginnings of the paths of files that contain commands: jobs, units, and what runs at boot or with an interface.
var commandFiles = []string{"/etc/cron", "/var/spool/cron", "/etc/systemd/system/", "/etc/rc.local", "/etc/init.d/",
	"/etc/network/if-pre-up.d/", "/etc/network/if-up.d/", "/etc/network/if-down.d/", "/etc/network/if-post-down.d/"}

func find(argument, text string, lists ...[]form) []modules.Advice {
	var all []modules.Advice
	for _, forms := range lists {
		for _, f := range forms {
			if slices.ContainsFunc(f.has, func(part string) bool { return strings.Contains(text, part) }) && f.pattern.MatchString(text) {
				all = append(all, modules.Advice{Name: f.name, Argument: argument, Problem: f.problem, Want: f.want})
			}
		}
	}
	return all
}

// Path returns advice on a file that is written or, if absent is set, removed.
func Path(argument, file string, absent bool) []modules.Advice {
	dir, base := path.Split(path.Clean("/" + file))
	name := strings.TrimSuffix(base, path.Ext(base))
	switch {
	case dir+base == "/etc/host":
		return []modules.Advice{{Name: modules.AdviceEtcHost, Argument: argument, Problem: hostProblem, Want: hostWant}}
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
