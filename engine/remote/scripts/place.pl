# What place.sh, same.sh and the shell's functions for temporary files guarantee, for the hand. Their comments say what is
# trusted, and why. Here a name can be looked at as soon as it is reached, since that starts no process: nobody else can
# change a name in a directory that is sure.

use constant { AT_FDCWD => -100, AT_SYMLINK_NOFOLLOW => 0x100, RENAME_NOREPLACE => 1 };

my $advice = 'let the task act as that user, or name in it the path that is meant';

# look returns what is at a path, without following a link, or nothing. Unlike lstat, statx has nanoseconds, and its buffer
# is the same on every processor (linux/stat.h).
sub look {
	my ($path) = @_;
	my $buffer = "\0" x 256;
	return if syscall($call->{statx}, AT_FDCWD, "$path", AT_SYMLINK_NOFOLLOW, 0x7ff, $buffer) != 0;
	my %is;
	@is{qw(links uid gid mode ino size sec nsec major minor)} = unpack '@16 L L L S @32 Q Q @96 q L @136 L L', $buffer;
	$is{type} = $is{mode} & 0170000;
	$is{mode} &= 07777;
	$is{id} = "$is{major}:$is{minor}:$is{ino}";
	return \%is;
}

sub is_dir { $_[0] && $_[0]{type} == 0040000 }
sub is_file { $_[0] && $_[0]{type} == 0100000 }
sub is_link { $_[0] && $_[0]{type} == 0120000 }

# same_file reports whether both are there and the same.
sub same_file { $_[0] && $_[1] && $_[0]{id} eq $_[1]{id} }

# stamp returns inode and change time, or nothing if nothing is there.
sub stamp {
	my ($is) = @_;
	return $is ? sprintf('%d:%d.%09d', @$is{qw(ino sec nsec)}) : '';
}

# mine reports whether it belongs to root or to the acting user.
sub mine { $_[0]{uid} == 0 || $_[0]{uid} == $> }

sub owner_name { scalar getpwuid($_[0]{uid}) // 'UNKNOWN' }
sub group_name { scalar getgrgid($_[0]{gid}) // 'UNKNOWN' }

# A place is a hash: path, the path; at, the directory that was reached (empty for /), which is the working directory; here,
# what that is; rest, the remaining path; name, the first name of that; only, whether nobody else can change the names in
# the directory, and by, who can.

# settle makes a directory the one that was reached, and reports whether the names in it are sure as far as they belong to
# root or to the acting user.
sub settle {
	my ($place, $at, $is) = @_;
	my $others = $is->{mode} & 0022;
	@$place{qw(at here only by)} = ($at, $is, 0, '');
	if (!mine($is)) {
		$place->{by} = owner_name($is);
	} elsif (!$others) {
		$place->{only} = 1;
		return 1;
	} elsif ($is->{mode} & 01000 || $others & 0002) {
		$place->{by} = 'every user';
		return $is->{mode} & 01000;
	} else {
		$place->{by} = 'the group ' . group_name($is);
	}
	return 0;
}

# next_name sets the first name of the remaining path and returns it with what follows it.
sub next_name {
	my ($place) = @_;
	$place->{rest} =~ s{^/+}{};
	my ($name, $behind) = $place->{rest} =~ m{^([^/]*)(.*)}s;
	$place->{name} = $name;
	return ($name, $behind);
}

# walk follows the sure names of a path. $last says how to treat the last name: for a "file" links are followed, for a "name"
# they are not, and a "dir" is entered.
sub walk {
	my ($place, $last) = @_;
	my $links = 0;
	my $root = look('/') or fail("who may change $place->{path} cannot be told");
	my $sure = settle($place, '', $root);
	while ($sure) {
		my ($name, $behind) = next_name($place);
		last if $name eq '';
		if ($name eq '.') {
			$place->{rest} = $behind;
			next;
		}
		if ($name eq '..') {
			(my $up = $place->{at}) =~ s{/[^/]*\z}{};
			my $is = look($up eq '' ? '/' : $up) or last;
			$sure = settle($place, $up, $is);
			$place->{rest} = $behind;
			next;
		}
		my $full = "$place->{at}/$name";
		my $is = look($full) or last;
		if (is_link($is)) {
			last if $behind eq '' && $last eq 'name';
			mine($is) or fail("$place->{path} leads through a symbolic link that belongs to " . owner_name($is) . ": it is not followed; $advice");
			last if ++$links > 40;
			my $target = readlink $full;
			last unless defined $target;
			$place->{rest} = $target . $behind;
			$sure = settle($place, '', $root) if $target =~ m{^/};
		} elsif (is_dir($is) && ($behind ne '' || $last eq 'dir')) {
			# In a directory with the sticky bit, owners can rename what is theirs.
			last unless mine($is) || $place->{only};
			$sure = settle($place, $full, $is);
			$place->{rest} = $behind;
		} else {
			last;
		}
	}
}

# reach enters the directory of a path and returns the place. Its rest is longer than its name if directories are missing. If
# $last is "dir" and the path exists, the directory itself is entered, and the name is empty.
sub reach {
	my ($path, $last) = @_;
	my $place = { path => $path, rest => $path };
	walk($place, $last);
	my $dir = $place->{at} eq '' ? '/' : $place->{at};
	chdir $dir or fail("cannot enter $dir: $!");
	while (1) {
		my ($name, $behind) = next_name($place);
		last if $place->{only} || $name eq '';
		last if $behind eq '' && $last ne 'dir';
		last unless -d "./$name";
		enter($place, $name);
		$place->{rest} = $behind;
	}
	plain($place, $place->{name}) if !$place->{only} && $last ne 'name';
	return $place;
}

# plain rejects a link in the working directory, where others may put one.
sub plain {
	my ($place, $name) = @_;
	my $dir = $place->{at} eq '' ? '/' : $place->{at};
	is_link(look("./$name"))
		and fail("$place->{at}/$name is a symbolic link, and $place->{by} may change what lies in $dir: it is not followed; $advice");
}

# enter enters a directory of the working directory.
sub enter {
	my ($place, $name) = @_;
	my $at = $place->{at};
	$name eq '.' || $name eq '..'
		and fail("$place->{path} leads through $name in " . ($at eq '' ? '/' : $at) . ", where $place->{by} may change names; $advice");
	plain($place, $name);
	chdir "./$name" or fail("cannot enter $at/$name: $!");
	my $is = look('.');
	same_file(look('..'), $place->{here}) && same_file(look("../$name"), $is)
		or fail("$at/$name was replaced while it was entered; see what $place->{by} does there");
	@$place{qw(at here)} = ("$at/$name", $is);
}

# absent fails unless the path is a last name in an existing directory.
sub absent {
	my ($place) = @_;
	$place->{name} ne '' or fail("$place->{path} is a directory");
	return if $place->{rest} eq $place->{name};
	(my $dir = $place->{rest}) =~ s{/[^/]*\z}{};
	fail("its directory $place->{at}/$dir does not exist");
}

# What is to be removed when the function has ended: a file or directory, and the directory of our own in which it is.
my ($new, $inner) = ('', '');

push @afterwards, sub {
	remove_all("./$new") if $new ne '';
	rmdir "../$inner" if $inner ne '';
	$new = $inner = '';
};

# fresh sets the place's new, a temporary name, and its to, the name to rename it to. Where others may rename files, it makes
# and enters a directory of our own. What a killed hand or shell has left is removed.
sub fresh {
	my ($place, $word) = @_;
	my $start = '.' . substr($place->{name}, 0, 200) . '.hlplay-';
	sweep($place, $start);
	$new = $start . $word . ".$$";
	@$place{qw(new to)} = ("./$new", "./$place->{name}");
	umask 0077;
	return if $place->{only};
	mkdir "./$new", 0700 or fail("mkdir: cannot create directory './$new': $!");
	$inner = $new;
	enter($place, $new);
	my $is = look('.');
	$is && mine($is) && ($is->{mode} & ~02000) == 0700
		or fail("$place->{at} was replaced while it was entered; see what $place->{by} does there");
	$place->{to} = "../$place->{name}";
}

# sweep removes what was left under names that start with this and end in the ID of a process that has ended. A directory that
# nobody else can change, and in which nothing of that kind was found, is not read again for the next file.
my $clean = '';

sub sweep {
	my ($place, $start) = @_;
	return if $place->{only} && $place->{here}{id} eq $clean;
	opendir my $dir, '.' or return;
	my @left = grep { /^\..*\.hlplay-.*\./s } readdir $dir;
	closedir $dir;
	$clean = $place->{here}{id} if $place->{only} && !@left;
	for my $name (@left) {
		next unless index($name, $start) == 0 && $name =~ /\.([0-9]+)\z/;
		next unless -d "/proc/$$" && !-d "/proc/$1";
		my $is = look("./$name") or next;
		next unless $place->{only} || is_dir($is) && $is->{uid} == $> && $is->{mode} == 0700;
		remove_all("./$name");
	}
}

# put_in_place moves the new file to its name. If $over is "absent", the kernel makes sure that nothing is there.
sub put_in_place {
	my ($place, $over) = @_;
	my $to = $place->{to};
	if ($over eq 'absent') {
		if (syscall($call->{renameat2}, AT_FDCWD, "./$new", AT_FDCWD, "$to", RENAME_NOREPLACE) == 0) {
			$new = '';
			return;
		}
		# The file system may not be able to.
		check($place, 'absent', $to);
	}
	rename "./$new", $to or fail("mv: cannot move './$new' to '$to': $!");
	$new = '';
}

# check ends the function with code 75 unless a file is what was seen: see same.sh.
sub check {
	my ($place, $seen, $file) = @_;
	my $is = look($file);
	(my $was = $seen) =~ s/^[^ ]* //;
	if ($seen eq '') {
		return;
	} elsif ($seen eq 'absent') {
		return unless $is;
	} elsif ($seen !~ /\.000000000 / && $seen !~ /^ /) {
		return if stamp($is) . " $was" eq $seen;
	}
	if (is_link($is)) {
		my $target = readlink $file;
		return if defined $target && "-> $target" eq $was;
	} elsif (is_file($is)) {
		return if has_sum($file, $was);
	}
	complain("$place->{path} is not what was seen there");
	leave(75);
}

# has_sum reports whether a regular file's content has a SHA-256 sum. What else may lie there by now is not waited for. A content
# that the hand knows by its sum is compared, which takes no process.
sub has_sum {
	my ($file, $sum) = @_;
	sysopen my $in, $file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK or return 0;
	my $known = look_known($sum);
	if (defined $known) {
		my $now = look_head(length($known) + 1, $in);
		return defined $now && $now eq $known;
	}
	return output($in, 'sha256sum') =~ /^\Q$sum\E /;
}

# remove_all removes a file or link, or a directory with everything in it, and reports whether it is gone.
sub remove_all {
	my ($file) = @_;
	return run(undef, 'rm', '-rf', '--', $file) == 0 if is_dir(look($file));
	return 1 if unlink($file) || $! == ENOENT;
	complain("rm: cannot remove '$file': $!");
	return 0;
}

# begin starts a program with an input and a standard output, or none and the hand's own, and returns its process ID. A signal
# that arrives meanwhile has no effect: the new process must not take it for its own.
sub begin {
	my ($in, $out, @argv) = @_;
	my $interruptible = $acting;
	$acting = 0;
	my $pid = fork;
	if (defined $pid && $pid == 0) {
		$pending = '';
		$SIG{$_} = 'DEFAULT' for qw(TERM HUP INT PIPE);
		if (defined $in) { open STDIN, '<&', $in }
		else { open STDIN, '<', '/dev/null' }
		open STDOUT, '>&', $out if defined $out;
		{ no warnings 'exec'; exec { $argv[0] } @argv }
		complain("$argv[0]: $!");
		exit 127;
	}
	$acting = $interruptible;
	defined $pid or fail("cannot start $argv[0]: $!");
	return $pid;
}

# end waits for a program and returns its exit code, or 128 plus the number of the signal that ended it. If the function is
# interrupted meanwhile, so is the program.
sub end {
	my ($pid) = @_;
	my $ended = eval { waitpid $pid, 0; 1 };
	my $why = $@;
	if (!$ended) {
		kill 'TERM', $pid;
		waitpid $pid, 0;
		die $why;
	}
	return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

# run runs a program and returns its exit code.
sub run {
	my ($in, @argv) = @_;
	flush_out();
	return end(begin($in, undef, @argv));
}

# output runs a program and returns what it prints, or nothing if it fails.
sub output {
	my ($in, @argv) = @_;
	pipe my $read, my $write or fail("pipe: $!");
	my $pid = begin($in, $write, @argv);
	close $write;
	my $text = eval { local $/; <$read> };
	my $why = $@;
	if (!defined $text && $why) {
		kill 'TERM', $pid;
		waitpid $pid, 0;
		die $why;
	}
	return end($pid) == 0 ? $text // '' : '';
}
