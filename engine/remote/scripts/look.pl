# Functions of the hand that answer queries of engine/observe in place of their scripts, with the same words, the same output and
# the same exit code. Each says which script it stands for. Where it cannot answer, it prints nothing and returns -1: the shell
# runs the script.
#
# The scripts start stat(1), head(1), grep(1) and sha256sum(1), and print in their words; so do these functions, because the
# output is parsed in one place. LC_ALL is C.

use constant ENOTDIR => 20;

# look_statx PATH returns what lstat(2) tells of a path, and the time of the last change in nanoseconds, which perl's lstat does
# not give: mode, user, group, names, size, inode, seconds, nanoseconds. It returns nothing and sets $! if that fails. The layout
# of struct statx does not depend on the architecture (statx(2)).
sub look_statx {
	my ($path) = @_;
	my $got = "\0" x 256;
	# AT_FDCWD; AT_SYMLINK_NOFOLLOW and AT_NO_AUTOMOUNT; STATX_BASIC_STATS
	syscall($call->{statx}, -100, $path, 0x900, 0x7ff, $got) == 0 or return;
	my ($names, $user, $group, $mode, $inode, $size, $second, $nano) = unpack 'x16 L L L S x2 Q Q x48 q L', $got;
	return ($mode, $user, $group, $names, $size, $inode, $second, $nano);
}

# look_mode MODE returns the mode as ls -l shows it.
sub look_mode {
	my ($mode) = @_;
	my $text = {0010 => 'p', 0020 => 'c', 0040 => 'd', 0060 => 'b', 0100 => '-', 0120 => 'l', 0140 => 's'}->{$mode >> 12 << 3} // '?';
	for ([6, 04000, 's'], [3, 02000, 's'], [0, 01000, 't']) {
		my ($shift, $special, $letter) = @$_;
		my $bits = $mode >> $shift;
		my $runs = $bits & 1;
		my $last = $mode & $special ? ($runs ? $letter : uc $letter) : ($runs ? 'x' : '-');
		$text .= ($bits & 4 ? 'r' : '-') . ($bits & 2 ? 'w' : '-') . $last;
	}
	return $text;
}

my %look_escape = ("\a" => 'a', "\b" => 'b', "\f" => 'f', "\n" => 'n', "\r" => 'r', "\t" => 't', "\x0b" => 'v');

sub look_escaped { return '\\' . ($look_escape{$_[0]} // sprintf '%03o', ord $_[0]) }

# look_c NAME quotes a name as stat does for %N with QUOTING_STYLE=c.
sub look_c {
	my ($name) = @_;
	$name =~ s/(["\\])|([^ -~])/defined $1 ? "\\$1" : look_escaped($2)/ge;
	return qq("$name");
}

# look_shell NAME quotes a name as the complaints of stat and head do (shell-escape-always).
sub look_shell {
	my ($name) = @_;
	return "'$name'" unless $name =~ /'|[^ -~]/;
	my $both = $name =~ /'/;
	return qq("$name") if $both && $name =~ m{^[- %+,./0-9:\@A-Z\]_a-z']*\z};
	my $again = $both && $name =~ /[^ -~]\z/ ? "''" : ''; # as they do
	$name =~ s/'/'\\''/g;
	$name =~ s/([^ -~]+)(?=(.?))/"'\$'" . join('', map look_escaped($_), split m{}, $1) . (length $2 ? "''" : '')/gse;
	return "$again'$name'";
}

# look_record PATH returns what stat prints of it in the format '%A %u %f %s %h %i:%.9Z:%U:%G: %N', in parts: the mode as text,
# the user, and the rest. It returns nothing and sets $! if that fails.
my %look_users;
my %look_groups;
sub look_record {
	my ($path) = @_;
	my ($mode, $user, $group, $names, $size, $inode, $second, $nano) = look_statx($path) or return;
	my ($shown, $target) = look_c($path);
	if (($mode & 0170000) == 0120000) {
		$target = readlink $path;
		$shown .= ' -> ' . look_c($target) if defined $target;
	}
	return {
		path => $path, mode => $mode, access => look_mode($mode), user => $user, size => $size, names => $names, stamp => sprintf('%s:%d.%09d', $inode, $second, $nano),
		owners => ($look_users{$user} //= getpwuid($user) // 'UNKNOWN') . ':' . ($look_groups{$group} //= getgrgid($group) // 'UNKNOWN'),
		shown => $shown, odd => $second < 0 || ($mode & 0170000) == 0120000 && !defined $target,
	};
}

# look_begin forgets the names of users and groups, and reports whether the kernel has statx(2) and lets it be called.
my $look_can;

sub look_begin {
	%look_users = %look_groups = ();
	return $look_can //= look_statx('/') ? 1 : 0;
}

# look_mine USER reports whether it is root or the acting user.
sub look_mine { return $_[0] == 0 || $_[0] == $> }

# look_open PATH opens a file for reading. It returns nothing and sets $! if that fails.
sub look_open {
	my ($path) = @_;
	no warnings 'newline'; # in a name
	sysopen my $from, $path, O_RDONLY or return;
	return $from;
}

# look_head LIMIT HANDLE reads at most so many bytes.
sub look_head {
	my ($limit, $from) = @_;
	my $text = '';
	while (length $text < $limit) {
		my $n = sysread $from, $text, $limit - length $text < 65536 ? $limit - length $text : 65536, length $text;
		next if !defined $n && $! == EINTR;
		return unless defined $n;
		last if $n == 0;
	}
	return $text;
}

# look_heads LIMIT NAME... returns what head -v -c LIMIT prints to both streams, and its exit code.
sub look_heads {
	my ($limit, @names) = @_;
	my ($out, $err, $code) = ('', '', 0);
	for my $name (@names) {
		my $from = look_open($name);
		if (!$from) {
			$err .= 'head: cannot open ' . look_shell($name) . " for reading: $!\n";
			$code = 1;
		} else {
			$out .= ($out eq '' ? '' : "\n") . "==> $name <==\n";
			my $text = look_head($limit, $from);
			if (defined $text) {
				$out .= $text;
			} else {
				$err .= 'head: error reading ' . look_shell($name) . ": $!\n";
				$code = 1;
			}
		}
	}
	return ($out, $err, $code);
}

# look_say OUT ERR CODE prints both and returns the code.
sub look_say {
	my ($out, $err, $code) = @_;
	say_out($out);
	put(\*STDERR, $err);
	return $code;
}

# look_files is filesScript (filestat.go). A file below a directory of others is read by the shell.
sub look_files {
	my ($sized, $count, @all) = @_;
	look_begin() or return -1;
	my ($out, $err, $me) = ('', '', 0);
	my %at;
	for my $path (@all) {
		my $r = look_record($path);
		if (!$r) {
			$err .= 'stat: cannot statx ' . look_shell($path) . ": $!\n";
			next;
		}
		return -1 if $r->{odd};
		$at{$path} = $r;
		$out .= sprintf "%s %s %x %s %s %s:%s: %s\n", @$r{qw(access user mode size names stamp owners shown)};
	}
	$out = "\n" if $out eq '';
	my @loose;
	for my $path (@all[$count .. $#all]) {
		my $r = $at{$path};
		# The script looks for a name as it is, and does not find one that is quoted.
		if ($r && $r->{access} =~ /^d....-..-.$/ && $r->{shown} eq qq("$path")) {
			$me = $> if $r->{user} != 0;
			next if look_mine($r->{user});
		} elsif ($r && $r->{access} =~ /^l/) {
			$me = $>;
		}
		push @loose, $path eq '/' ? '/' : "$path/";
	}
	my @read;
	for my $path ($sized ? @all[0 .. $sized - 1] : ()) {
		my $r = $at{$path};
		next unless $r && ($r->{mode} & 0170000) == 0100000;
		return -1 if grep { substr($path, 0, length) eq $_ } @loose;
		push @read, $path;
	}
	my ($heads, $complaints) = look_heads(1048576, @read);
	return look_say("$out$me\n\n$heads", $err . $complaints, 0);
}

# look_unsized is unsizedScript (file.go).
sub look_unsized {
	my ($name) = @_;
	return 0 if !lstat $name || !-f _;
	my $from = look_open($name) or return look_say('', 'head: cannot open ' . look_shell($name) . " for reading: $!\n", 1);
	my $text = look_head(1048576, $from);
	return look_say($text, '', 0) if defined $text;
	return look_say('', 'head: error reading ' . look_shell($name) . ": $!\n", 1);
}

# Contents whose SHA-256 sums are known: those that the hand has written, and others once sha256sum(1) has told. Comparing them
# takes no process. The oldest go first when there are too many.
my %look_known;
my @look_order;
my $look_size = 0;
use constant LOOK_MOST => 4 << 20;

# look_keep SUM CONTENT
sub look_keep {
	my ($sum, $content) = @_;
	return if $sum eq '' || exists $look_known{$sum} || length $content > LOOK_MOST / 4;
	$look_known{$sum} = $content;
	push @look_order, $sum;
	$look_size += length $content;
	$look_size -= length delete $look_known{shift @look_order} while $look_size > LOOK_MOST;
}

# look_known SUM returns the content with a sum, or nothing if the hand does not know it.
sub look_known { return $look_known{$_[0]} }

# look_content PATH returns the content of a file that is not too large to be kept, or nothing.
sub look_content {
	my ($path) = @_;
	my $from = look_open($path) or return;
	my $text = look_head(LOOK_MOST / 4 + 1, $from);
	return defined $text && length $text <= LOOK_MOST / 4 ? $text : undef;
}

# look_sums [PATH, SUM]... reports whether all files have these sums.
sub look_sums {
	my (@ask, %before);
	for (@_) {
		my ($path, $sum) = @$_;
		my $now = look_content($path);
		if (exists $look_known{$sum}) {
			return 0 unless defined $now && $now eq $look_known{$sum};
			next;
		}
		$before{$path} = $now;
		push @ask, $_;
	}
	return 1 unless @ask;
	open my $from, '-|', 'sha256sum', '--', map $_->[0], @ask or return 0;
	my $said = do { local $/; <$from> };
	close $from;
	return 0 unless $said eq join '', map "$_->[1]  $_->[0]\n", @ask;
	for (@ask) {
		my ($path, $sum) = @$_;
		my $now = look_content($path);
		look_keep($sum, $now) if defined $now && defined $before{$path} && $now eq $before{$path};
	}
	return 1;
}

# look_holds_files is holdsFilesScript (holds.go).
sub look_holds_files {
	my ($lines, $sums, $regular, $there, $absent, @all) = @_;
	look_begin() or return -1;
	my @lines = split /\n/, $lines;
	return 1 if @lines != $there;
	for my $i (0 .. $#all) {
		my $path = $all[$i];
		my $r = look_record($path);
		if (!$r) {
			return 1 unless $! == ENOENT || $! == ENOTDIR;
			return 1 if $i < $there;
			next;
		}
		my $type = substr $r->{access}, 0, 1;
		if ($i < $there) {
			return 1 unless $type =~ /[-dl]/;
			return 1 if $lines[$i] ne sprintf '%x %s %s: %s', $r->{mode}, $type eq '-' ? $r->{names} : '-', $r->{owners}, $r->{shown};
			return 1 if $type eq 'l' && !look_mine($r->{user});
		} else {
			return 1 if $i < $there + $absent || $r->{access} !~ /^d....-..-.$/ || !look_mine($r->{user});
		}
	}
	my @sums = map { [(split /  /, $_, 2)[1, 0]] } split /\n/, $sums;
	return look_sums(@sums) ? 0 : 1;
}

# look_grep NAME... returns what grep -sH '' prints of files of /proc/sys, or nothing if one of them is no text.
sub look_grep {
	my $out = '';
	for my $name (@_) {
		my $from = look_open($name) or next;
		my $text = look_head(1 << 20, $from);
		next unless defined $text;
		return if $text =~ /\0/;
		$out .= "$name:$_\n" for split /\n/, $text =~ s/\n\z//r, -1;
		$out .= "$name:\n" if $text eq "\n";
	}
	return $out;
}

# look_sysctls is the first script of Sysctls (sysctl.go), and look_access the second.
sub look_sysctls {
	my $out = look_grep(@_);
	return defined $out ? look_say($out, '', 0) : -1;
}

sub look_access {
	BEGIN { $^H |= 0x400000 } # filetest 'access' of filetest(3perl), which is not in perl-base: a file's mode applies to root there
	my $out = '';
	for (@_) {
		$out .= (-r $_ ? 'r' : '-') . (-w $_ ? 'w' : '-') . "$_\n" if -f $_;
	}
	return look_say($out, '', 0);
}

# look_holds_sysctls is holdsSysctlsScript (holds.go).
sub look_holds_sysctls {
	BEGIN { $^H |= 0x400000 }
	my ($lines, @names) = @_;
	for (@names) {
		return 1 unless -f $_ && -r $_ && -w $_;
	}
	my $out = look_grep(@names) // return -1;
	$out =~ s/:[ \t]*([^\n]*)/my $v = $1; $v =~ s![ \t]+$!!; $v =~ s![ \t]+! !g; ":$v"/ge;
	return $out eq $lines ? 0 : 1;
}

# look_matches PATTERN... returns the files that match patterns of TextFiles (textfiles.go), and what is said of directories that
# cannot be read.
sub look_matches {
	BEGIN { $^H |= 0x400000 }
	my (@names, %seen);
	my $denied = '';
	for my $pattern (@_) {
		my ($dir) = $pattern =~ m{^(.*)/};
		next if $seen{$dir}++;
		$denied .= "$dir: Permission denied\n" if -d $dir && (!-r $dir || !-x $dir);
	}
	for my $pattern (@_) {
		my ($dir, $first, $last) = $pattern =~ m{^(.*)/([^*]*)(?:\*([^*]*))?$} or return;
		my @found = $pattern;
		if (defined $last) {
			opendir my $in, $dir or do {
				return unless $denied ne '' || $! == ENOENT || $! == ENOTDIR;
				next;
			};
			my $hidden = $first eq '' ? qr/^\./ : qr/^\z/;
			@found = map "$dir/$_", sort grep { /^\Q$first\E.*\Q$last\E\z/s && !/$hidden/ } readdir $in;
		}
		push @names, grep { !m{[^A-Za-z0-9_./-]} && (-f $_ || -c _) } @found;
	}
	return (\@names, $denied);
}

# look_text is the script of TextFiles (textfiles.go); its words are the patterns.
sub look_text {
	my ($names, $denied) = look_matches(@_) or return -1;
	return look_say('', $denied, 13) if $denied ne '';
	return 0 unless @$names;
	my ($heads, $complaints, $code) = look_heads((16 << 20) + 1, @$names);
	return look_say(join('', map "$_\n", @$names, '') . $heads, $complaints, $code);
}

# look_holds_text is the script of holdsTextFiles (holds.go). Behind the sum of the whole, which only the script needs, its words
# are the number of patterns, the patterns, and path and sum of each file that is expected.
sub look_holds_text {
	my (undef, $patterns, @words) = @_;
	my ($names, $denied) = look_matches(splice @words, 0, $patterns) or return -1;
	return 1 if $denied ne '';
	my @want;
	push @want, [splice @words, 0, 2] while @words;
	return 1 if join("\n", @$names) ne join "\n", map $_->[0], @want;
	return look_sums(@want) ? 0 : 1;
}

%does = (
	%does,
	look_files         => \&look_files,
	look_unsized       => \&look_unsized,
	look_sysctls       => \&look_sysctls,
	look_access        => \&look_access,
	look_text          => \&look_text,
	look_holds_files   => \&look_holds_files,
	look_holds_sysctls => \&look_holds_sysctls,
	look_holds_text    => \&look_holds_text,
);
