# _hl_w SECONDS DIGEST LOOKS QUERIES PAUSES evaluates LOOKS after each of the pauses, until its output has a digest other than
# DIGEST or SECONDS have passed, and then answers the queries. The digest is that of the standard error, followed by the
# digest of the standard output, which is printed when that ends; their marks are the same in every shell. The gap printed
# before each check is ignored by the reader, and ends the shell if nobody reads any more. If /proc/uptime cannot be read,
# only the pauses limit the time.
_hl_w() {
	_hl_u=0
	{ read -r _hl_u _hl_o </proc/uptime; } 2>/dev/null || :
	_hl_t=$((${_hl_u%.*}+$1))
	for _hl_p in $5; do
		sleep "$_hl_p"
		printf '\n%s gap 0\n' "$_hl_n"
		_hl_k=$({ (_hl_n=watch _hl_i=0; eval "$3") | sha256sum; } 2>&1 | sha256sum)
		{ read -r _hl_u _hl_o </proc/uptime; } 2>/dev/null || :
		[ "${_hl_k%% *}" = "$2" ] && [ "${_hl_u%.*}" -lt "$_hl_t" ] || break
	done
	eval "$4"
}
