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

		`systemctl restart "networking"`:                   {modules.AdviceNetworkingRestart},
		"systemctl reload-or-restart -q networking":        {modules.AdviceNetworkingRestart},
		"systemctl restart ssh networking.service && true": {modules.AdviceNetworkingRestart},
		"systemctl disable --now networking":               {modules.AdviceNetworkingRestart},
		"sh -c (systemctl restart networking)":             {modules.AdviceNetworkingRestart},
		"systemctl \\\n  restart networking":               {modules.AdviceNetworkingRestart},
		"invoke-rc.d networking restart":                   {modules.AdviceNetworkingRestart},
		"ifdown -a && ifup -a":                             {modules.AdviceNetworkingRestart},
		"systemctl restart networking-dispatcher":          nil,
		"systemctl enable --now networking":                nil,
		"systemctl stop ssh; systemctl start networking":   nil,
		"# systemctl restart networking\nifreload -a":      nil,
		"ifup -a":                                                                                nil,
		"n=$(cat /etc/host)":                                                                     {modules.AdviceEtcHost},
		"scp /etc/host pve2:/etc/host":                                                           {modules.AdviceEtcHost},
		"echo vfio | tee -a /etc/modules":                                                        {modules.AdviceAppend},
		"echo vfio | sudo tee --append /etc/modules":                                             {modules.AdviceAppend},
		"sed -i '$ a vfio' /etc/modules":                                                         {modules.AdviceAppend},
		`sed -i -e "\$a vfio" /etc/modules`:                                                      {modules.AdviceAppend},
		"echo vfio | tee /etc/modules":                                                           nil,
		"make 2>>/dev/null >>/dev/stderr":                                                        nil,
		"date >> /devices":                                                                       {modules.AdviceAppend},
		"ip l set dev eno1 mtu 9000":                                                             {modules.AdviceMTU},
		"ip -n blue link set eno1 mtu 9000":                                                      {modules.AdviceMTU},
		"ip link set dev eno1 \\\n mtu 9000":                                                     {modules.AdviceMTU},
		"for i in eno1 eno2; do ip link set mtu 9000 dev $i; done":                               {modules.AdviceMTU},
		`echo 9000 | sudo tee -a "/sys/class/net/$i/mtu"`:                                        {modules.AdviceMTU},
		"ip route change default via 192.0.2.1 mtu 1400":                                         nil,
		"echo vlan+srcmac > /sys/class/net/bond0/bonding/xmit_hash_policy":                       {modules.AdviceHashPolicy},
		"ip link add bond0 type bond mode 802.3ad xmit_hash_policy 4":                            {modules.AdviceHashPolicy},
		"ip link add bond0 type bond mode 802.3ad xmit_hash_policy layer3+4":                     nil,
		"modprobe -a vfio vfio-virqfd":                                                           {modules.AdviceVirqfd},
		"echo blacklist 'nvidia*' > /etc/modprobe.d/x.conf":                                      {modules.AdviceBlacklistGlob},
		"echo options vfio-pci ids=10de:* > /etc/modprobe.d/x.conf":                              {modules.AdviceBlacklistGlob},
		"cd /etc/apt/sources.list.d && rm pve-install-repo.list":                                 {modules.AdviceNoSource},
		"rm -f /etc/apt/sources.list.d/pve*":                                                     {modules.AdviceNoSource},
		"rm -rf /etc/apt/sources.list.d":                                                         {modules.AdviceNoSource},
		"mv /etc/apt/sources.list.d/proxmox.sources /root":                                       {modules.AdviceNoSource},
		"find /etc/apt/sources.list.d -name 'pve-install*' -delete":                              {modules.AdviceNoSource},
		"sed -i '/pve-no-subscription/d' /etc/apt/sources.list":                                  {modules.AdviceNoSource},
		"sed -i 's/^deb/#deb/' /etc/apt/sources.list.d/pve-install-repo.list":                    {modules.AdviceNoSource},
		"sed -i 's/^.*pve-no-subscription/# &/' /etc/apt/sources.list":                           {modules.AdviceNoSource},
		"sed -i 's/pve-enterprise/pve-no-subscription/' /etc/apt/sources.list.d/pve.list":        nil,
		"sed -i 's/^deb/#deb/' /etc/apt/sources.list.d/pve-enterprise.list":                      nil,
		"sed -i '/enterprise/d' /etc/apt/sources.list":                                           nil,
		"echo 'deb http://x/pve trixie pve-no-subscription' >/etc/apt/sources.list.d/pve.list":   nil,
		"rm -f /etc/apt/sources.list.d/pve-enterprise.sources /etc/apt/sources.list.d/ceph.list": nil,
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
		{"/etc/modprobe.d/x.conf", "# blacklist nvidia* has no effect\nblacklist nvidia\n", nil},
		{"/etc/modprobe.d/x.conf", "options vfio-pci ids=10de:*\n", []string{modules.AdviceBlacklistGlob}},
		{"/etc/modprobe.d/x.conf", "options vfio-pci ids=10de:1b80 disable_vga=1\n", nil},
		{"/etc/kernel/cmdline", "quiet module_blacklist=nvidia*", []string{modules.AdviceBlacklistGlob}},
		{"/etc/kernel/cmdline", "vfio-pci.ids=10de:*", []string{modules.AdviceBlacklistGlob}},
		{"/etc/network/interfaces", "\tbond-xmit-hash-policy vlan+srcmac\n", []string{modules.AdviceHashPolicy}},
		{"/etc/network/interfaces", "\tbond-xmit-hash-policy layer2+3\n\tpost-up ip link set eno1 mtu 9000\n", []string{modules.AdviceMTU}},
		{"/etc/cron.d/module", "@reboot root echo vfio >>/etc/modules\n", []string{modules.AdviceAppend}},
		{"/etc/cron.daily/source", "rm -f /etc/apt/sources.list.d/pve-install-repo.list\n", []string{modules.AdviceNoSource}},
		{"/usr/local/sbin/net", "#!/bin/sh\n# once: service networking restart\nsystemctl restart networking\n", []string{modules.AdviceNetworkingRestart}},
		{"/usr/local/sbin/log", "#!/bin/sh\ndate >>/var/log/boots\n", nil},
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
		{"/sys/class/net/eno1/mtu", false, []string{modules.AdviceMTU}},
		{"/etc/apt/sources.list.d", true, []string{modules.AdviceNoSource}},
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
