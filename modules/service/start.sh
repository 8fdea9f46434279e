# VERB UNIT: run systemctl VERB UNIT, and check that the unit keeps running. Prints the unit's properties and, if it is not
# running, an empty line and the end of its journal. Exits with systemctl's exit code, or with 1 if only the check failed, or with
# $3 if all went well and the unit is still on the way from one state to another.
unit=$2
newline='
'

# ask sets state to the unit's properties, and main to the PID of its main process, which is 0 if it has none.
ask() {
	state=$(exec systemctl show --property=Type,ActiveState,SubState,MainPID,Result,ExecMainStatus,ControlGroup -- "$unit")
	main=${state#*MainPID=}
	main=${main%%[!0-9]*}
}

# list sets ids to the process or thread IDs in a file of the unit's control group.
list() {
	ids=
	while read -r id; do
		ids="$ids $id"
	done <"$group/$1"
}

# look reads what the unit's threads are doing. It sets asleep to how long each of them has run so far if all of them sleep and
# belong to one process, the main one. Otherwise, or if any of this cannot be read, asleep is empty. It sets moving if a thread
# is running, or waits for a processor or a disk.
look() {
	asleep=''
	moving=''
	only=yes
	list cgroup.procs
	[ "$ids" = " $main" ] || only=
	# Nor may there be processes in control groups below.
	read -r _ below <"$group/cgroup.stat" && [ "$below" = 0 ] || only=
	list cgroup.threads
	for id in "$main" $ids; do
		stat=''
		ran=''
		read -r stat <"/proc/$id/stat" && read -r ran <"/proc/$id/schedstat"
		case $stat in
		"$main (("*) moving=yes ;; # systemd names a process so until it has become the unit's program
		esac
		case ${stat##*') '} in
		R\ * | D\ *) moving=yes ;;
		S\ *) ;;
		*) only= ;;
		esac
		case $ran in
		'' | 0\ *) only= ;; # a kernel that does not count prints zeros
		esac
		asleep="$asleep$id $ran$newline"
	done
	[ "$only" ] && [ -z "$moving" ] || asleep=
} 2>/dev/null

# rests succeeds once the unit is at rest: it is one process, and none of its threads has run between two looks. So it has
# done what it does first, and is still there. It fails if that is not so within a second. If a thread is moving then, it goes
# on for as long as one is whenever it looks, up to three seconds: on a busy machine, a process takes longer to end.
rests() {
	group=${state#*ControlGroup=}
	group=/sys/fs/cgroup${group%%"$newline"*}
	if [ ! -r "$group/cgroup.threads" ]; then
		sleep 1
		return 1
	fi
	before=
	for pause in 0.2 0.1 0.2 0.5; do
		sleep "$pause"
		look
		[ -z "$asleep" ] || [ "$asleep" != "$before" ] || return 0
		before=$asleep
	done
	for pause in 0.5 0.5 0.5 0.5; do
		[ "$moving" ] && [ -e "/proc/$main" ] || break
		sleep "$pause"
		look
	done
	return 1
}

systemctl "$1" -- "$unit"
status=$?
ask
runs=false
case $state in
*ActiveState=active*) runs=true ;;
esac
if $runs && [ "$status" -eq 0 ]; then
	case $state in
	*Type=simple* | *Type=exec* | *Type=idle*)
		# systemd considers these started before they have done anything: one that cannot work exits now.
		first=$main
		if [ "$first" -gt 0 ] && ! rests; then
			ask
			# A different process means that the first one has exited and was restarted.
			[ "$main" = "$first" ] || status=1
		fi
		;;
	esac
fi
case $status$state in
*SubState=auto-restart*) status=1 ;;
0*ActiveState=active* | 0*ActiveState=activating* | 0*ActiveState=reloading* | 0*ActiveState=refreshing*) ;;
0*Type=oneshot*Result=success*)
	# A oneshot that has finished counts as restarted, but never as started.
	[ "$1" != start ] || status=1
	;;
0*) status=1 ;;
esac
printf '%s\n' "$state"
if [ "$status" -ne 0 ]; then
	printf '\n'
	journalctl -q --no-pager -o cat -n 10 -u "$unit"
	[ "$status" -ne "$3" ] || status=1
	exit "$status"
fi
case $state in
*ActiveState=activating* | *ActiveState=deactivating* | *ActiveState=reloading* | *ActiveState=refreshing*) exit "$3" ;;
esac
