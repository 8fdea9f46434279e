# The hand's function "run" carries out a command as timeout(1) and the pipes of act.sh do, with the command as the only
# process. Only what it returns and prints is the answer: the command's exit code, and the mark and the output on each stream.
#
# Output is read while the command runs, so that the command never waits for the connection, and sent when it has ended.
# What a child in the background prints later is dropped. A little is kept in memory, more in files in the shell's directory,
# under the names that act.sh uses, and of much only the first and the last half.

# RUN_MEMORY is how many bytes of a stream are kept in memory. The others are numbers of Linux.
use constant { RUN_MEMORY => 65536, RUN_NOHANG => 1, RUN_AGAIN => 11, RUN_PIPESIZE => 1032, RUN_PIDFD => 434 };

# run DIRECTORY FIRST NONCE HALF MARK INPUT SECONDS WHERE N NAME=VALUE... PROGRAM ARGUMENT...
#
# DIRECTORY is that of the shell, FIRST the number of the first command that was sent with this one (for the file "pid"),
# NONCE begins the shell's marks, HALF is how many bytes of the beginning and of the end of a stream are kept, and MARK what
# is printed on each stream once the command has begun. INPUT is a file, SECONDS the limit, WHERE the directory (empty for the
# user's home), and N is the number of variables.
#
# Where sysctl(8) would only write one setting, it does that itself.
#
# It returns 125 if the directory cannot be entered, 71 if no process can be started, and -1 if only the shell can tell
# whether the directory may be entered. Nothing was begun then.
$does{run} = sub {
	my ($directory, $first, $nonce, $half, $mark, $input, $limit, $where, $n, @words) = @_;
	my @environment = splice @words, 0, $n;
	my $said = $where eq '/' && !$n && run_setting(@words);
	if ($said) {
		put($_, "\n$mark $$\n") for \*STDOUT, \*STDERR;
		put(\*STDOUT, $said);
		return 0;
	}
	my @streams = map { { to => $_->[0], nonce => $nonce, half => $half, path => "$directory/$_->[1]", text => '', size => 0, open => 1 } }
		[\*STDOUT, 'out'], [\*STDERR, 'err'];
	open(my $in, '<', $input) or return run_complain("$input: $!", 71);
	for (@streams) {
		pipe($_->{from}, $_->{in}) or return run_complain("pipe: $!", 71);
		my $flags = fcntl($_->{from}, F_GETFL, 0) or return run_complain("fcntl: $!", 71);
		fcntl($_->{from}, F_SETFL, $flags | O_NONBLOCK) or return run_complain("fcntl: $!", 71);
	}
	my ($home) = map { /^HOME=(.*)/s ? $1 : () } @environment;
	my ($refused, $at) = run_enter($where, $home // $ENV{HOME} // '');
	return -1 if $refused < 0;
	return run_complain($at, $refused) if $refused;

	my %command = (
		in => $in, streams => \@streams, environment => \@environment, directory => $at, words => \@words,
		limit => $limit, note => "$directory/pid", first => $first,
	);
	my ($status, $why) = eval { run_carry_out(\%command) };
	if ($@) { # a defect: without the hand, the shell says that the end is not known
		complain($@);
		exit 1;
	}
	run_note("$directory/pid", '');
	return run_complain($why, 71) unless defined $status;
	for (@streams) {
		put($_->{to}, "\n$mark $$\n");
		run_send($_);
	}
	return $status;
};

# run_setting does what sysctl(8) does for "sysctl -w NAME=VALUE", and returns what that prints. If the kernel has no such setting or
# does not take the value, it returns nothing: sysctl knows what to say. The words of a name are separated by dots.
sub run_setting {
	return unless @_ == 3 && $_[0] eq 'sysctl' && $_[1] eq '-w';
	my ($name, $value) = $_[2] =~ /^([a-zA-Z0-9_.-]+)=([!-~]+(?: [!-~]+)*)\z/ or return;
	(my $path = $name) =~ tr{.}{/};
	sysopen my $setting, "/proc/sys/$path", O_WRONLY or return;
	my $n = syswrite $setting, "$value\n";
	return unless defined $n && $n > length $value;
	return "$name = $value\n";
}

# run_carry_out runs a command in the working directory, which it leaves, and returns its exit code, or why no process can be
# started.
sub run_carry_out {
	my ($c) = @_;
	my $streams = $c->{streams};
	# A signal that comes before select waits for events would be seen only when it returns. So it never waits for long.
	my ($signal, $late, $overran, $stopping) = ('', 0, 0, 0);
	local $SIG{ALRM} = sub { $late = 1; $signal = $stopping ? 'KILL' : 'TERM' };
	local $SIG{TERM} = sub { $signal ||= 'TERM' };
	local @SIG{qw(HUP INT)} = (sub { }) x 2; # a terminal's signals are for the shell
	local $SIG{CHLD} = sub { };
	run_note($c->{note}, "$c->{first} $$\n");
	my ($pid, $group) = run_fork($c);
	return (undef, "cannot start a process: $!") unless $pid;
	chdir '/';
	close $c->{in};
	close delete $_->{in} for @$streams;
	alarm $c->{limit};

	my $ended = run_watch($pid);
	my $status;
	until (defined $status) {
		my $bits = '';
		for (@$streams) { vec($bits, fileno $_->{from}, 1) = 1 if $_->{open} }
		vec($bits, fileno $ended, 1) = 1 if $ended;
		my $ready = select $bits, undef, undef, $ended ? 1 : 0.1;
		if ($ready > 0) {
			for (@$streams) { run_read($_) if $_->{open} && vec($bits, fileno $_->{from}, 1) }
		}
		my $found = waitpid $pid, RUN_NOHANG;
		if ($found == $pid) {
			$status = $?;
		} elsif ($found < 0) { # without the hand, the shell says that the end is not known
			exit 1;
		} elsif ($signal) {
			my $which = $signal;
			$overran = $late;
			$signal = '';
			run_keep($streams->[1], "timeout: sending signal $which to command " . run_quote($c->{words}[0]) . "\n");
			run_signal($which, $pid, $group ? -$group : ());
			alarm 2 unless $stopping++;
		}
	}
	alarm 0;
	for (@$streams) {
		# No more than the pipe can hold was printed before the end.
		my $rest = fcntl($_->{from}, RUN_PIPESIZE, 0) || 1 << 20;
		while ($_->{open} && $rest > 0) {
			my $n = run_read($_) or last;
			$rest -= $n;
		}
		close $_->{from};
	}
	run_keep($streams->[1], "timeout: the monitored command dumped core\n") if $status & 128;
	my $death = $status & 127;
	return 124 if $overran && $death != 9;
	return $death ? 128 + $death : $status >> 8;
}

# run_signal sends a signal as timeout(1) does: to the command itself, which may have another group, and to the group. A stopped
# process notices a signal only when it continues.
sub run_signal {
	my ($which, @to) = @_;
	for my $one (@to) { kill $which, $one }
	return if $which eq 'KILL';
	for my $one (@to) { kill 'CONT', $one }
}

# run_complain prints why nothing was begun, and returns the exit code that says so.
sub run_complain {
	my ($why, $code) = @_;
	put(\*STDERR, "$why\n");
	return $code;
}

# run_note writes a line to a file, as far as there is room.
sub run_note {
	my ($path, $line) = @_;
	if (sysopen(my $file, $path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) {
		syswrite $file, $line if length $line;
	}
}

# run_enter changes to a directory as the function _hl_cd and the scripts of commands do. It returns 0 and the directory, or
# an exit code and the reason, or -1 if it cannot tell whether the directory may be entered.
sub run_enter {
	my ($where, $home) = @_;
	if ($where eq '') {
		return (0, $home) if $home =~ m{^/} && chdir $home;
		$where = '/';
	}
	chdir $where or return (125, "$!");
	# The kernel reports the actual directory. If it is the path itself, no link was followed.
	my $at = readlink '/proc/self/cwd';
	return defined $at && $at eq $where ? (0, $at) : (-1, '');
}

# run_fork starts the command, and returns its ID and that of its process group. As under timeout(1), the command shares
# a group of its own with what it starts, which it does not lead: a leader could not call setsid(2).
#
# The group is led by the hand, which leaves it right after the start so that it can kill the group. If an earlier command
# has left a process in that group, or the hand has no group to go back to, a process that only leads another one takes its
# place during the start.
sub run_fork {
	my ($c) = @_;
	my $home = getpgrp getppid;
	my ($group, $leader, $hold) = ($$, 0, undef);
	if ($home && $home != $$ && !kill 0, -$$) {
		setpgrp 0, 0;
	} else {
		pipe(my $held, $hold) or return;
		$leader = fork;
		return unless defined $leader;
		if (!$leader) {
			close $hold;
			setpgrp 0, 0;
			sysread $held, my $end, 1;
			exit 0;
		}
		setpgrp $leader, $leader;
		$group = $leader;
	}
	my $pid = fork;
	my $error = $!;
	if (defined $pid && !$pid) {
		setpgrp 0, $group if $leader;
		run_exec($c);
	}
	if ($leader) {
		setpgrp $pid, $group if $pid;
		close $hold;
		waitpid $leader, 0;
	} else {
		setpgrp 0, $home;
	}
	$! = $error;
	return $pid ? ($pid, $group == getpgrp ? 0 : $group) : ();
}

# run_exec turns this process into the command. A failure is reported as timeout(1) reports it.
sub run_exec {
	my ($c) = @_;
	$SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT PIPE ALRM TERM CHLD TTIN TTOU);
	open STDIN, '<&', $c->{in} or exit 126;
	open STDOUT, '>&', $c->{streams}[0]{in} or exit 126;
	open STDERR, '>&', $c->{streams}[1]{in} or exit 126;
	$ENV{OLDPWD} = '/';
	$ENV{PWD} = $c->{directory};
	for (@{ $c->{environment} }) {
		my ($name, $value) = split /=/, $_, 2;
		$ENV{$name} = $value;
	}
	my @words = @{ $c->{words} };
	no warnings 'exec';
	exec { $words[0] } @words;
	my ($code, $why) = ($! == ENOENT ? 127 : 126, "$!");
	put(\*STDERR, 'timeout: failed to run command ' . run_quote($words[0]) . ": $why\n");
	exit $code;
}

# run_watch returns a file that becomes readable when the process ends, or nothing if the kernel has none (before Linux 5.3).
# The number of pidfd_open(2) is the same on all processors that the hand knows.
sub run_watch {
	my ($pid) = @_;
	my $number = syscall RUN_PIDFD, $pid, 0;
	return if $number < 0;
	open(my $file, '<&=', $number) or return;
	return $file;
}

# run_read reads and keeps a part of a stream. It returns how much was read.
sub run_read {
	my ($s) = @_;
	my $n = sysread $s->{from}, my $part, 65536;
	if (!defined $n) {
		$s->{open} = 0 unless $! == RUN_AGAIN || $! == EINTR;
		return 0;
	}
	$s->{open} = 0 unless $n;
	run_keep($s, $part) if $n;
	return $n;
}

# run_keep keeps text of a stream.
sub run_keep {
	my ($s, $text) = @_;
	return if $s->{lost};
	if (!$s->{head} && length($s->{text}) + length($text) <= RUN_MEMORY) {
		$s->{text} .= $text;
		return;
	}
	if (!$s->{head}) {
		$s->{head} = run_file($s->{path}) or $s->{lost} = 1, return;
		$text = $s->{text} . $text;
		$s->{text} = '';
	}
	if ($s->{size} < $s->{half}) {
		my $part = substr $text, 0, $s->{half} - $s->{size}, '';
		run_write($s->{head}, $part) or $s->{lost} = 1, return;
		$s->{size} += length $part;
	}
	# The end is in a file that is written round and round.
	while (length $text) {
		$s->{tail} ||= run_file("$s->{path}.0") or $s->{lost} = 1, return;
		my $at = ($s->{size} - $s->{half}) % $s->{half};
		my $part = substr $text, 0, $s->{half} - $at, '';
		defined sysseek $s->{tail}, $at, 0 or $s->{lost} = 1, return;
		run_write($s->{tail}, $part) or $s->{lost} = 1, return;
		$s->{size} += length $part;
	}
}

# run_file opens an empty file.
sub run_file {
	my ($path) = @_;
	sysopen(my $file, $path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600) or return;
	return $file;
}

# run_write writes all of a text to a file, and reports whether there was room for it.
sub run_write {
	my ($file, $text) = @_;
	my $at = 0;
	while ($at < length $text) {
		my $n = syswrite $file, $text, length($text) - $at, $at;
		next if !defined $n && $! == EINTR;
		return 0 unless $n;
		$at += $n;
	}
	return 1;
}

# run_send prints what was kept of a stream, says how much was left out, and empties the files.
sub run_send {
	my ($s) = @_;
	put($s->{to}, $s->{text});
	if ($s->{head}) {
		run_copy($s, $s->{head}, 0, $s->{size} < $s->{half} ? $s->{size} : $s->{half});
	}
	my $over = $s->{size} - 2 * $s->{half};
	if (!$s->{tail} || $s->{lost}) {
		# There is no end to print.
	} elsif ($over <= 0) {
		run_copy($s, $s->{tail}, 0, $s->{size} - $s->{half});
	} else {
		my $at = $over % $s->{half};
		put($s->{to}, "\n$s->{nonce} gap $over\n");
		run_copy($s, $s->{tail}, $at, $s->{half} - $at);
		run_copy($s, $s->{tail}, 0, $at);
	}
	put($s->{to}, "\n[the host had no room for the rest of what it printed]\n") if $s->{lost};
	for (grep { $_ } $s->{head}, $s->{tail}) { truncate $_, 0 }
}

# run_copy prints a part of a file.
sub run_copy {
	my ($s, $file, $at, $length) = @_;
	sysseek $file, $at, 0;
	while ($length > 0) {
		my $n = sysread $file, my $part, $length < 65536 ? $length : 65536;
		next if !defined $n && $! == EINTR;
		last unless $n;
		put($s->{to}, $part);
		$length -= $n;
	}
}

# run_quote quotes a word as GNU programs do in the C locale.
sub run_quote {
	my ($word) = @_;
	my %named = ("\a" => 'a', "\b" => 'b', "\f" => 'f', "\n" => 'n', "\r" => 'r', "\t" => 't', "\x0b" => 'v', "'" => "'", '\\' => '\\');
	$word =~ s/([^ -~]|['\\])/'\\' . ($named{$1} \/\/ sprintf '%03o', ord $1)/ge;
	return "'$word'";
}
