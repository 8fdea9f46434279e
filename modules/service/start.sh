# VERB UNIT: run systemctl VERB UNIT, and check that the unit keeps running. Prints the unit's properties and, if it is not
# running, an empty line and the end of its journal. Exits with systemctl's exit code, or with 1 if only the check failed.
unit=$2
show() {
	systemctl show --property=Type,ActiveState,SubState,MainPID,Result,ExecMainStatus -- "$unit"
}
main_pid() {
	pid=${1#*MainPID=}
	printf '%s' "${pid%%[!0-9]*}"
}
systemctl "$1" -- "$unit"
status=$?
state=$(show)
runs=false
case $state in
*ActiveState=active*) runs=true ;;
esac
if $runs && [ "$status" -eq 0 ]; then
	case $state in
	*Type=simple* | *Type=exec* | *Type=idle*)
		# systemd considers these started before they have done anything: one that cannot work exits now.
		first=$(main_pid "$state")
		if [ "$first" -gt 0 ]; then
			sleep 1
			state=$(show)
			# A different process means that the first one has exited and was restarted.
			[ "$(main_pid "$state")" = "$first" ] || status=1
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
fi
exit "$status"
