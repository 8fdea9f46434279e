# serves.sh CONF KIND NAME [HOST] exits with 0 if the monitors say that a daemon serves: "mon NAME", "mgr NAME", both ("first NAME"),
# "mds NAME", "osd DISK HOST", "osd-up ID", that a file system has a metadata server ("fs NAME"), or that all placement groups are
# clean ("clean"). Objects of the answer begin new lines.
_r=$(printf 'report\nmgr metadata\n' | timeout 30 ceph -c "$1" --connect-timeout 10 -f json 2>/dev/null | tr '{}' '\n\n')
shift
has() { printf '%s\n' "$_r" | grep -Eq "$1"; }
up() { has "^\"osd\":$1,.*\"up\":1,\"in\":1,"; }
mon() {
	_k=$(printf '%s\n' "$_r" | grep -Eo "^\"rank\":[0-9]+,\"name\":\"$1\"")
	_k=${_k#*:}
	has "\"quorum\":\\[([0-9]+,)*${_k%%,*}[],]"
}
mgr() { has "^\"name\":\"$1\","; }
case $1 in
mon) mon "$2" ;;
mgr) mgr "$2" ;;
first) mon "$2" && mgr "$2" ;;
mds) has "\"name\":\"$2\".*\"state\":\"up:" ;;
osd)
	_k=$(printf '%s\n' "$_r" | grep -E "^\"id\":[0-9]+,.*\"devices\":\"([^\"]*,)?$2[\",]" | grep "\"hostname\":\"$3[\".]" | grep -Eo '^"id":[0-9]+')
	for _i in $_k; do
		up "${_i#*:}" && exit 0
	done
	exit 1
	;;
osd-up) up "$2" ;;
fs) has '"state":"up:active"' ;;
clean) has '"num_pg_by_state":\[' && ! printf '%s\n' "$_r" | grep -E '^"state":"[a-z_+]+","num":[0-9]+' | grep -Eqv '"([a-z_]+[+])*active[+]([a-z_]+[+])*clean[+"]' ;;
esac
