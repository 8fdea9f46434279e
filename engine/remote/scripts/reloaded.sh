# Fails if a process from which this one descends, as a session does from the SSH server, has been sent SIGHUP and has not yet
# taken it, and says which. PPid is 0 where the parent cannot be seen: of process 1, and in a container.
_p=self
until [ "$_p" = 0 ]; do
	_q='' _c=$_p
	while read -r _k _v; do
		case $_k in
		Name:) _c=$_v ;;
		PPid:) _q=$_v ;;
		SigPnd: | ShdPnd:)
			case $_v in
			*[13579bdf])
				echo "$_c (process $_p) has not yet taken SIGHUP, with which it was told to read its configuration again" >&2
				exit 1
				;;
			esac
			;;
		esac
	done <"/proc/$_p/status"
	[ -n "$_q" ] || exit 1
	_p=$_q
done
