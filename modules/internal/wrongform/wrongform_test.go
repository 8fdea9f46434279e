package wrongform

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/modules"
)

func names(all []modules.Advice) []string {
	var found []string
	for _, a := range all {
		found = append(found, a.Name)
	}
	slices.Sort(found)
	return found
}

func TestCommand(t *testing.T) {
	for text, want := range map[string][]string{
		"systemctl restart networking":                            {modules.AdviceNetworkingRestart},
		"sudo systemctl --no-block restart networking.service":    {modules.AdviceNetworkingRestart},
		"service networking restart":                              {modules.AdviceNetworkingRestart},
		"/etc/init.d/networking restart":                          {modules.AdviceNetworkingRestart},
		"systemctl restart pveproxy; systemctl status networking": nil,
		"systemctl stop networking":                               {modules.AdviceNetworkingRestart},
		"service networking stop":                                 {modules.AdviceNetworkingRestart},
		"ifreload -a":                                             nil,
		"nano /etc/host":                                          {modules.AdviceEtcHost},
		`sed -i "s/a/b/" /etc/host; true`:                         {modules.AdviceEtcHost},
		"cat /etc/hosts /etc/hostname /etc/host.conf":             nil,
		"echo vfio >> /etc/modules":                               {modules.AdviceAppend},
		"echo vfio_virqfd >>/etc/modules":                         {modules.AdviceAppend, modules.AdviceVirqfd},
		`echo "blacklist nvidia*" > /etc/modprobe.d/x.conf`:       {modules.AdviceBlacklistGlob},
		`echo "blacklist nvidia" > /etc/modprobe.d/x.conf`:        nil,
		"ip link set dev eno1 mtu 9000":                           {modules.AdviceMTU},
		"ip link set eno1 up mtu 9000":                            {modules.AdviceMTU},
		"ifconfig eno1 mtu 9000 up":                               {modules.AdviceMTU},
		`ip link set dev "$IFACE" mtu "$MTU"`:                     {modules.AdviceMTU},
		"echo 9000 > /sys/class/net/eno1/mtu":                     {modules.AdviceMTU},
		"echo 9000 | tee /sys/class/net/eno1/mtu":                 {modules.AdviceMTU},
		"cat /sys/class/net/eno1/mtu >/root/mtu":                  nil,
		"ip link show eno1 | grep mtu":                            nil,
		"ip link set eno1 up; echo mtu 9000":                      nil,
		"bond-xmit-hash-policy encap3+4":                          {modules.AdviceHashPolicy},
		"rm -f /etc/apt/sources.list.d/pve-install-repo.list":     {modules.AdviceNoSource},
		"rm /etc/apt/sources.list.d/pve-enterprise.list":          nil,
	} {
		if diff := cmp.Diff(want, names(Command("shell", text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestContent(t *testing.T) {
	for _, test := range []struct {
		file, text string
		want       []string
	}{
		{"/etc/cron.d/mtu", "@reboot root ip link set eno1 mtu 9000\n", []string{modules.AdviceMTU}},
		{"/etc/cron.d/log", "@reboot root date >>/var/log/boots\n", nil},
		{"/etc/network/if-up.d/mtu", "#!/bin/sh\nip link set $IFACE mtu 9000\n", []string{modules.AdviceMTU}},
		{"/etc/network/if-up.d/restart", "#!/bin/sh\nsystemctl restart networking\n", []string{modules.AdviceNetworkingRestart}},
		{"/etc/systemd/system/mtu.service", "[Service]\nExecStart=/usr/sbin/ip link set eno1 mtu 9000\n", []string{modules.AdviceMTU}},
		{"/etc/systemd/system/x.service", "[Unit]\nAfter=networking.service\n", nil},
		{"/usr/local/sbin/net.sh", "systemctl restart networking\n", []string{modules.AdviceNetworkingRestart}},
		{"/etc/network/interfaces", "\tbond-xmit-hash-policy encap3+4\n", []string{modules.AdviceHashPolicy}},
		{"/etc/modules", "vfio\nvfio_virqfd\n", []string{modules.AdviceVirqfd}},
		{"/etc/kernel/cmdline", "quiet modprobe.blacklist=nouveau,nvidia*", []string{modules.AdviceBlacklistGlob}},
		{"/etc/kernel/cmdline", "modprobe.blacklist=nouveau,nvidia", nil},
		{"/etc/modprobe.d/x.conf", "blacklist amdgpu\nblacklist nvidia*\n", []string{modules.AdviceBlacklistGlob}},
	} {
		if got := names(Content("content", test.file, test.text)); !slices.Equal(got, test.want) {
			t.Errorf("%s: the advice is %q, expected %q", test.file, got, test.want)
		}
	}
}

func TestPath(t *testing.T) {
	for _, test := range []struct {
		file   string
		absent bool
		want   []string
	}{
		{"/etc/host", false, []string{modules.AdviceEtcHost}},
		{"/etc//host", false, []string{modules.AdviceEtcHost}},
		{"/etc/hosts", false, nil},
		{"/etc/apt/sources.list.d/pve-install-repo.list", true, []string{modules.AdviceNoSource}},
		{"/etc/apt/sources.list.d/proxmox.sources", true, []string{modules.AdviceNoSource}},
		{"/etc/apt/sources.list.d/proxmox.sources", false, nil},
		{"/etc/apt/sources.list.d/pve-enterprise.sources", true, nil},
	} {
		if got := names(Path("path", test.file, test.absent)); !slices.Equal(got, test.want) {
			t.Errorf("%s, absent %v: the advice is %q, expected %q", test.file, test.absent, got, test.want)
		}
	}
}

func TestSources(t *testing.T) {
	for uri, want := range map[string][]string{
		"http://download.proxmox.com/debian/pve":    {modules.AdviceNoSource},
		"http://download.proxmox.com":               {modules.AdviceNoSource},
		"http://download.proxmox.com/debian/ceph-x": nil,
		"https://enterprise.proxmox.com/debian/pve": nil,
		"http://mirror.example.org/debian/pve":      nil,
	} {
		if got := names(SourceURI("disable_uris", uri)); !slices.Equal(got, want) {
			t.Errorf("%s: the advice is %q, expected %q", uri, got, want)
		}
	}
	for _, test := range []struct {
		file, text string
		want       []string
	}{
		{"/etc/apt/sources.list", `^deb .* pve-no-subscription$`, []string{modules.AdviceNoSource}},
		{"/etc/apt/sources.list.d/pve.list", "deb http://download.proxmox.com/debian/pve trixie pve-no-subscription", []string{modules.AdviceNoSource}},
		{"/etc/apt/sources.list", `^deb .* pve-enterprise$`, nil},
		{"/root/notes", "pve-no-subscription", nil},
	} {
		if got := names(SourceLine("line.state", test.file, test.text)); !slices.Equal(got, test.want) {
			t.Errorf("%s in %s: the advice is %q, expected %q", test.text, test.file, got, test.want)
		}
	}
}
