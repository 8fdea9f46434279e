#!/bin/sh
# Restores the newest backup of a guest under a free id on this node, proves it, and destroys it again:
#
#   test-restore vm|ct GUEST STORAGE TARGET ID restored|running|agent SECONDS
#
# The restored guest has a tag as soon as it has a configuration. A guest without the tag is never changed or destroyed.
# The result is written to a file; the exit code is 0 if the test succeeded.
set -u
export LC_ALL=C
kind=$1 guest=$2 storage=$3 target=$4 id=$5 proof=$6 seconds=$7
mark=test-restore-$kind-$guest
reports=/var/lib/test-restore
report=$reports/$kind-$guest
# The output of the restore. The file exists as long as the restored guest may still lack its tag.
restoring=$reports/$kind-$guest-$id.restoring
case $kind in
vm) tool=qm folder=qemu-server backups="backup/vm/$guest/|backup/vzdump-qemu-$guest-" ;;
*) tool=pct folder=lxc backups="backup/ct/$guest/|backup/vzdump-lxc-$guest-" ;;
esac
conf=/etc/pve/local/$folder/$id.conf
result=failed why='' volume='' started=$(date +%s)

# because REASON: records why the test fails, and returns 1.
because() {
	why=$1
	printf '%s\n' "$why" >&2
	return 1
}

# current: prints the configuration of the restored guest, without snapshots.
current() { sed '/^\[/,$d' "$conf"; }

# now: reads that configuration into $now. One that cannot be read is not an empty one.
now() { now=$(current) || because "the configuration of guest $id cannot be read ($conf)"; }

# none ARGUMENTS: reports whether grep finds no line. A grep that fails has not found that there is none.
none() {
	grep -q "$@"
	[ $? = 1 ]
}

marked() { printf '%s\n' "$now" | grep -qx "tags: $mark"; }

# remains: reports whether the guest is left over from a failed restore of this test: a configuration without disks, name or tag.
remains() { [ -e "$restoring" ] && printf '%s\n' "$now" | none -vE '^(memory: 128|lock: create)?$'; }

# mounted: reports whether the configurations of guests are visible. Without them, every id looks free.
mounted() {
	[ -d /etc/pve/nodes ] || because "the cluster's guests cannot be listed: /etc/pve is not mounted; see systemctl status pve-cluster"
}

# destroy: removes the restored guest, or what an earlier test has left behind. It does not purge, because that would also remove the id
# from the exclude lists of backup jobs.
destroy() {
	mounted || return 1
	if [ ! -e "$conf" ]; then
		rm -f "$restoring"
		return 0
	fi
	now || return 1
	if ! marked && ! remains; then
		because "guest $id does not have the tag $mark, so it is left alone"
		return 1
	fi
	if [ "$kind" = vm ]; then
		qm stop "$id" --skiplock 1 >&2
		qm destroy "$id" --skiplock 1 >&2
	else
		if pct status "$id" | grep -qx 'status: running'; then
			pct stop "$id" >&2
		fi
		pct destroy "$id" >&2
	fi
	if [ -e "$conf" ]; then
		because "guest $id could not be destroyed: remove it with $tool destroy $id"
		return 1
	fi
	rm -f "$restoring"
}

# free: reports whether no guest of the cluster has the id, and high availability does not manage it.
free() {
	for file in "/etc/pve/nodes/"*"/qemu-server/$id.conf" "/etc/pve/nodes/"*"/lxc/$id.conf"; do
		if [ -e "$file" ]; then
			because "id $id is taken by another guest ($file)"
			return 1
		fi
	done
	if [ -e /etc/pve/ha/resources.cfg ]; then
		grep -qE "^(vm|ct): $id\$" /etc/pve/ha/resources.cfg
		case $? in
		0) because "high availability manages the id $id: remove the resource, or test under another id" ;;
		1) return 0 ;;
		*) because "the resources of high availability cannot be read" ;;
		esac
	fi
}

# newest: finds the newest backup of the guest.
newest() {
	list=$(pvesm list "$storage" --content backup --vmid "$guest") || {
		because "the backups on storage $storage cannot be listed"
		return 1
	}
	volume=$(printf '%s\n' "$list" | sed 's/ .*//' | grep -E "^$storage:($backups)" | sort | tail -n 1)
	[ -n "$volume" ] || because "storage $storage has no backup of $kind:$guest"
}

# fits: reports whether the target has room for all disks of the backup.
fits() {
	backup=$(pvesm extractconfig "$volume") || {
		because "the configuration in $volume cannot be read"
		return 1
	}
	disks=$(printf '%s\n' "$backup" | sed '/^\[/,$d' | grep -E '^(ide|sata|scsi|virtio|efidisk|tpmstate|rootfs|mp)[0-9]*:' | grep -v 'media=cdrom')
	if [ "$kind" = vm ]; then # disks that are excluded from backups are not restored
		disks=$(printf '%s\n' "$disks" | grep -v 'backup=0')
	fi
	need=0
	for size in $(printf '%s\n' "$disks" | sed -n 's/.*,size=\([0-9]*[KMGT]*\).*/\1/p'); do
		number=${size%[KMGT]}
		case $size in
		*K) ;;
		*M) number=$((number * 1024)) ;;
		*G) number=$((number * 1024 * 1024)) ;;
		*T) number=$((number * 1024 * 1024 * 1024)) ;;
		*) number=$((number / 1024 + 1)) ;;
		esac
		need=$((need + number))
	done
	status=$(pvesm status --storage "$target" | sed -n "s/^$target  *//p")
	# shellcheck disable=SC2086 # its columns: type, status, total, used and available in KiB
	set -- $status
	if [ "${2:-}" != active ]; then
		because "storage $target is not active on this node"
		return 1
	fi
	[ "${5:-0}" -ge "$need" ] || because "storage $target is too small: the guest's disks have $((need / 1024)) MiB, and $((${5:-0} / 1024)) MiB are available"
}

# affords CONFIGURATION: reports whether the node has enough memory to start the guest and keep 1 GiB for its other guests.
affords() {
	need=$(printf '%s\n' "$1" | sed '/^\[/,$d' | sed -n 's/^memory: \(current=\)\{0,1\}\([0-9][0-9]*\).*/\2/p')
	available=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
	if [ -z "$available" ]; then
		because "/proc/meminfo does not tell how much memory is available"
		return 1
	fi
	[ $((available / 1024)) -ge $((${need:-512} + 1024)) ] ||
		because "the guest has ${need:-512} MiB of memory, and of this node's only $((available / 1024)) MiB are available, of which 1024 MiB stay free: test on another node, or with prove = \"restored\""
}

# restore: restores the backup. The tag is written together with the configuration.
restore() {
	if [ "$kind" = vm ]; then
		set -- create "$id" --archive "$volume"
	else
		set -- restore "$id" "$volume"
	fi
	if ! "$tool" "$@" --storage "$target" --unique 1 --tags "$mark" --onboot 0 --protection 0 >"$restoring" 2>&1; then
		cat "$restoring" >&2
		because "restoring $volume to storage $target failed: $(tail -n 1 "$restoring")"
		# The id was taken meanwhile, and the guest may still be locked: it is not from this test.
		if grep -qE "already exists|can.t lock file .*-$id\.(conf|lock)" "$restoring"; then
			rm -f "$restoring"
		fi
		return 1
	fi
	cat "$restoring" >&2
	if ! { now=$(current) && marked; } && ! "$tool" set "$id" --tags "$mark" >&2; then
		because "guest $id was restored, and cannot be given the tag $mark: destroy it by hand"
		return 1
	fi
	rm -f "$restoring"
}

# isolate: removes what the restored guest would share with the original: the network, and all resources of the host.
isolate() {
	now || return 1
	for net in $(printf '%s\n' "$now" | sed -n 's/^\(net[0-9]*\):.*/\1/p'); do
		value=$(printf '%s\n' "$now" | sed -n "s/^$net: //p" | sed 's/,link_down=[01]//')
		"$tool" set "$id" "--$net" "$value,link_down=1" >&2 || {
			because "$net of the restored guest cannot be disconnected"
			return 1
		}
	done
	if [ "$kind" = vm ]; then
		shared='hostpci[0-9]*|usb[0-9]*|parallel[0-9]*|virtiofs[0-9]*|serial[0-9]*: */|args|hookscript|ivshmem'
	else
		shared='dev[0-9]*|mp[0-9]*: */|hookscript'
	fi
	for key in $(printf '%s\n' "$now" | grep -E "^($shared)" | sed 's/:.*//'); do
		"$tool" set "$id" --delete "$key" >&2 || {
			because "$key of the restored guest cannot be removed"
			return 1
		}
	done
	now || return 1
	if ! printf '%s\n' "$now" | grep -E '^net[0-9]*:' | none -v 'link_down=1'; then
		because "the restored guest is still connected to the network"
		return 1
	fi
	if ! printf '%s\n' "$now" | none -E "^($shared)|^lxc\."; then
		because "the restored guest has settings of the host that cannot be taken from it: prove = \"restored\" does not start it"
		return 1
	fi
	if ! printf '%s\n' "$now" | grep -E '^(ide|sata|scsi|virtio|efidisk|tpmstate|rootfs|mp)[0-9]*:' | grep -v 'media=cdrom' | none -vE "^[a-z0-9]*: $target:"; then
		because "the restored guest has a disk that is not on storage $target"
		return 1
	fi
}

# prove: starts the restored guest and watches it.
prove() {
	affords "$(current)" || return 1
	"$tool" start "$id" >&2 || {
		because "the restored guest does not start"
		return 1
	}
	end=$(($(date +%s) + seconds))
	while "$tool" status "$id" | grep -qx 'status: running'; do
		go || return 1
		if [ "$proof" = agent ] && timeout 10 qm guest cmd "$id" ping >/dev/null 2>&1; then
			return 0
		fi
		if [ "$(date +%s)" -ge "$end" ]; then
			[ "$proof" = running ] && return 0
			because "the guest agent did not answer within $seconds seconds"
			return 1
		fi
		sleep 5
	done
	because "the restored guest did not keep running for $seconds seconds"
}

# go: reports whether the test may go on, that is, no signal has asked it to stop.
go() { [ -z "$stop" ] || because "the test was interrupted"; }

attempt() {
	destroy && free && newest && fits && go || return 1
	[ "$proof" = restored ] || affords "$backup" || return 1
	restore && go || return 1
	[ "$proof" = restored ] || { isolate && go && prove; }
}

# conclude: destroys the restored guest and writes the report, whatever the outcome.
conclude() {
	first=$why
	destroy || result=failed
	why=${first:-$why}
	ended=$(date +%s)
	last=''
	[ ! -e "$report" ] || last=$(sed -n 's/^last_success=//p' "$report")
	[ "$result" = failed ] || last=$ended
	{
		printf 'result=%s\nstarted=%s\nended=%s\nvolume=%s\n' "$result" "$started" "$ended" "$volume"
		printf 'why=%s\nlast_success=%s\n' "$why" "$last"
	} >"$report.new" && mv "$report.new" "$report" || result=failed
	printf 'test restore of %s:%s: %s %s\n' "$kind" "$guest" "$result" "$why" >&2
}

# When the service is stopped, systemd also ends the programs that this script runs. The script itself only cleans up then.
stop=''
trap 'stop=yes' HUP INT TERM
mkdir -p "$reports"
if attempt; then
	result=succeeded
fi
conclude
[ "$result" = succeeded ]
