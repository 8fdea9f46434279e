# clear DIRECTORY NAME... removes files of the node's state: it is Clear (engine/nodestate/due.go). What cannot be removed is left to
# the script, which says why.
$does{clear} = sub {
	my ($directory, @names) = @_;
	return 0 unless -e $directory;
	chdir $directory or return -1;
	for (@names) { unlink $_ or $! == ENOENT or return -1 }
	return 0;
};
