# VERB UNIT: systemctl VERB UNIT, and whether the unit stays. It prints what systemd says of the unit, and of one that
# does not run the end of its journal behind an empty line; then it ends with systemctl's exit code, or else 1.
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
		# They count as started before they have done anything: what cannot work ends now.
		first=$(main_pid "$state")
		if [ "$first" -gt 0 ]; then
			sleep 1
			state=$(show)
			# Another process was started because the first had ended.
			[ "$(main_pid "$state")" = "$first" ] || status=1
		fi
		;;
	esac
fi
case $status$state in
*SubState=auto-restart*) status=1 ;;
0*ActiveState=active* | 0*ActiveState=activating* | 0*ActiveState=reloading* | 0*ActiveState=refreshing*) ;;
0*Type=oneshot*Result=success*)
	# One that has done its work was restarted, and is never started.
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
