# arrived.sh STATUS SID STATE exits with 0 if the HA manager says that a resource is in a state, is being moved, or is in error.
tr -d ' \n' <"$1" | tr '{}' '\n\n' | {
	_f=
	while read -r _l || [ -n "$_l" ]; do
		if [ -n "$_f" ]; then
			case $_l in
			*'"state":"error"'*) exit 0 ;;
			*'"state":"started"'*)
				[ "$3" = started ] || exit 1
				case $_l in *'"running":1'* | *'"running":"1"'*) exit 0 ;; esac
				exit 1
				;;
			*'"state":"migrate"'* | *'"state":"relocate"'* | *'"state":"freeze"'*) [ "$3" = started ] && exit 0 ;;
			*'"state":"stopped"'*) [ "$3" = started ] || exit 0 ;;
			esac
			exit 1
		fi
		case $_l in *"\"$2\":") _f=yes ;; esac
	done
	exit 1
}
