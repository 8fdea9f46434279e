# The work of playbooks/bench/node.hcl in one script, as a careful administrator would write it: files are replaced whole,
# what others read is checked before, and what is right is left alone. It is sent over one connection behind a line that sets
# name, ring, address, and pve1, pve2 and pve3; "@FILE" stands for the lines of a file in playbooks/bench/files.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022
cluster=bench ports='eno1 enp1s0' bridge=vmbr0 mtu=9000 fsid=8d5c1e0e-6a0d-4a52-9a39-6f4c2a7d10b3
cd /etc

# put PATH MODE [CHECK...] replaces a file by the standard input, if the check accepts that.
put() {
	to=$1 mode=$2
	shift 2
	cat >"$to.new"
	[ "$mode" = 0644 ] || chmod "$mode" "$to.new"
	[ $# = 0 ] || "$@" "$to.new"
	mv "$to.new" "$to"
}

# line FILE REGEXP LINE replaces the line that matches, or adds one.
line() {
	if grep -qxF -e "$3" "$1"; then
		return
	elif grep -qE -e "$2" "$1"; then
		sed -Ei "/$2/c\\$3" "$1"
	else
		sed -i "\$a\\$3" "$1"
	fi
}

line hosts '\spve1$' "$pve1 pve1.lab.example pve1"
line hosts '\spve2$' "$pve2 pve2.lab.example pve2"
line hosts '\spve3$' "$pve3 pve3.lab.example pve3"

{
	printf '# bond of %s\nauto lo\niface lo inet loopback\n\n' "$name"
	for p in $ports; do printf 'auto %s\niface %s inet manual\n' "$p" "$p"; done
	cat <<EOF

auto bond0
iface bond0 inet manual
    bond-slaves $ports
    bond-mode 802.3ad
    bond-miimon 100
    bond-lacp-rate 1
    mtu $mtu
EOF
} | put network/interfaces.d/bond0 0644
put network/interfaces.d/vmbr0 0644 <<EOF
auto $bridge
iface $bridge inet static
    address $address/24
    bridge-ports bond0
    bridge-stp off
    bridge-fd 0
    mtu $mtu
EOF
put network/interfaces.d/ring 0644 <<EOF
auto bond0.78
iface bond0.78 inet static
    address $ring/24
    mtu $mtu
EOF

install -d -m 0755 apt/keyrings
put apt/keyrings/release.asc 0644 <<'EOF'
@release.asc
EOF
put apt/sources.list.d/hypervisor.list 0644 <<'EOF'
@hypervisor.list
EOF
put apt/sources.list.d/storage.list 0644 <<'EOF'
@storage.list
EOF
rm -f apt/sources.list.d/enterprise.list
put apt/preferences.d/node 0644 <<'EOF'
@apt-preferences
EOF
put apt/apt.conf.d/99node 0644 <<'EOF'
@apt-99node
EOF

put ssh/sshd_config.d/50-node.conf 0600 <<'EOF'
PermitRootLogin prohibit-password
PasswordAuthentication no
X11Forwarding no
ClientAliveInterval 60
ClientAliveCountMax 5
EOF
line ssh/sshd_config '^#?PermitEmptyPasswords' 'PermitEmptyPasswords no'
line ssh/sshd_config '^#?UseDNS' 'UseDNS no'
put sudoers.d/10-operators 0440 visudo -qcf <<'EOF'
@sudoers
EOF

put security/limits.d/90-storage.conf 0644 <<'EOF'
@limits.conf
EOF
put udev/rules.d/60-scheduler.rules 0644 <<'EOF'
@60-scheduler.rules
EOF
for p in $ports; do
	echo "SUBSYSTEM==\"net\", ACTION==\"add\", KERNEL==\"$p\", ATTR{tx_queue_len}=\"10000\""
done | put udev/rules.d/71-ports.rules 0644
put profile.d/node-aliases.sh 0644 <<'EOF'
@aliases.sh
EOF
. /etc/os-release
put motd 0644 <<EOF
$name is one of 3 nodes of $cluster
Debian $VERSION_ID on $(uname -m)
EOF
put issue 0644 <<'EOF'
@issue
EOF

install -d -m 0755 ceph
put ceph/ceph.conf 0644 <<EOF
[global]
fsid = $fsid
auth_client_required = cephx
auth_cluster_required = cephx
auth_service_required = cephx
mon_host = $pve1 $pve2 $pve3
osd_pool_default_size = 3
osd_pool_default_min_size = 2

[mon.pve1]
public_addr = $pve1

[mon.pve2]
public_addr = $pve2

[mon.pve3]
public_addr = $pve3
EOF

install -d -m 0750 node-local
others=
for n in pve1 pve2 pve3; do
	[ "$n" = "$name" ] || others="$others${others:+, }$n"
done
put node-local/node.yaml 0640 <<EOF
cluster: $cluster
node: $name
peers: [$others]
quorum: 2
EOF
ln -sfn node.yaml node-local/current

install -d -m 0755 systemd/system/cron.service.d systemd/journald.conf.d
put systemd/system/cron.service.d/limits.conf 0644 <<'EOF'
@cron-limits.conf
EOF
put systemd/journald.conf.d/size.conf 0644 <<'EOF'
@journald.conf
EOF
put rsyslog.d/30-node.conf 0644 <<'EOF'
@rsyslog.conf
EOF
put logrotate.d/node-local 0644 <<'EOF'
@logrotate
EOF
put cron.d/disk-selftest 0644 <<'EOF'
@cron-selftest
EOF
put cron.d/array-check 0644 <<'EOF'
@cron-arrays
EOF
line crontab 'ip link set vmbr0 mtu' '@reboot root sleep 30 && /usr/bin/ip link set vmbr0 mtu 9000'
line default/smartmontools '^#?smartd_opts=' 'smartd_opts="--interval=3600"'
line initramfs-tools/initramfs.conf '^MODULES=' 'MODULES=dep'
put tmpfiles.d/node-local.conf 0644 <<'EOF'
@tmpfiles.conf
EOF

for m in vfio vfio_iommu_type1 vfio_pci; do line modules "^$m\$" "$m"; done
put modules-load.d/bonding.conf 0644 <<'EOF'
@load-bonding.conf
EOF
put modules-load.d/8021q.conf 0644 <<'EOF'
@load-8021q.conf
EOF
put modules-load.d/br_netfilter.conf 0644 <<'EOF'
@load-br_netfilter.conf
EOF
put modprobe.d/node-vfio.conf 0644 <<'EOF'
@modprobe-vfio.conf
EOF
put modprobe.d/node-kvm.conf 0644 <<'EOF'
@modprobe-kvm.conf
EOF
put modprobe.d/node-blacklist.conf 0644 <<'EOF'
@modprobe-blacklist.conf
EOF
put modprobe.d/node-bonding.conf 0644 <<'EOF'
@modprobe-bonding.conf
EOF

put sysctl.d/90-node.conf 0644 <<'EOF'
net.ipv4.ip_forward = 1
net.ipv4.conf.all.rp_filter = 2
net.ipv4.conf.default.rp_filter = 2
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.conf.all.log_martians = 1
net.ipv4.icmp_echo_ignore_broadcasts = 1
net.ipv4.tcp_syncookies = 1
net.ipv4.tcp_keepalive_time = 600
net.ipv4.tcp_fin_timeout = 30
net.ipv4.tcp_mtu_probing = 1
net.ipv4.tcp_slow_start_after_idle = 0
net.ipv4.ip_local_port_range = 20000 60999
EOF
sysctl -qp sysctl.d/90-node.conf

packages='python3 openssh-server sudo ca-certificates cron rsyslog logrotate iperf3 smartmontools iproute2'
# shellcheck disable=SC2086 # a list of names
dpkg-query -W $packages >/dev/null || apt-get install -qq $packages
systemctl -q enable --now ssh cron rsyslog iperf3 systemd-networkd logrotate.timer
systemctl start dbus systemd-logind systemd-journald systemd-tmpfiles-clean.timer

own=$(hostname --ip-address)
case $own in 127.* | ::1) echo "the node's name resolves to a loopback address" >&2 && exit 1 ;; esac
[ "$(stat -c %a ssh/ssh_host_ed25519_key)" = 600 ] || { echo 'others may read the host key' >&2 && exit 1; }
[ "$(sysctl -n net.ipv4.ip_forward)" = 1 ] || { echo 'the node does not forward' >&2 && exit 1; }
uname -r
ip -o link show host0 | grep 'state UP'
sshd -t
visudo -qc
systemctl is-system-running | grep -Ex 'running|degraded|starting'
stat -c %a node-local/node.yaml
df -P /
[ ! -e default/grub ] || stat -c %a default/grub

sync -f /etc
systemctl daemon-reload
systemctl reload ssh
systemctl restart rsyslog cron
