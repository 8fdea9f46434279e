# The hand of an acting shell: a process that does in place of the shell what would otherwise take other processes. act.sh
# starts it and sends it this program, with the other *.pl, as its input.
#
# A request is a line "MARK LENGTH...", then the words that have these lengths: the name of a function, and its arguments.
# The exit code is the answer, a line on file descriptor 3. Standard output and standard error are the shell's, and nothing
# is printed after the answer, so that the shell's marks stay in order. If MARK is not "-", the function acts, and MARK is
# what the hand prints on both streams before it begins. A request that is cut off is not carried out.
#
# Only what perl-base has is used, because it is on every Debian, and no POSIX, which takes 10 ms to load.
use strict;
use warnings;
no warnings 'newline'; # a name may end in one
use Config;
use Fcntl;

# System calls that Perl has no functions for, as their numbers on a processor. Without them there is no hand.
my %calls = (
	x86_64  => { fsync => 74, llistxattr => 195, fchownat => 260, renameat2 => 316, statx => 332 },
	aarch64 => { fsync => 82, llistxattr => 12, fchownat => 54, renameat2 => 276, statx => 291 },
);
my ($processor) = $Config{archname} =~ /^(x86_64|aarch64)-linux(?!-gnux32)/ or exit 1;
my $call = $calls{$processor};

# Error numbers, which Errno would take a millisecond to load.
use constant { ENOENT => 2, EINTR => 4, EAGAIN => 11, EEXIST => 17, EINVAL => 22, ENOSYS => 38, EOPNOTSUPP => 95 };

# The functions that may be asked for. A function returns its exit code, or ends with leave or fail. One that has done and
# printed nothing may return -1: the shell then does it.
our %does;

# Functions in this list are called when a function has ended, however it did.
our @afterwards;

# leave ends the function with an exit code.
sub leave { die { code => $_[0] } }

# fail ends the function with a complaint.
sub fail {
	complain($_[0]);
	leave(1);
}

# say_out prints on standard output. If nobody reads it any more, the function still goes on to its end.
my $pending = '';

sub say_out {
	$pending .= $_[0];
	flush_out() if length $pending > 65536;
}

sub flush_out {
	put(\*STDOUT, $pending);
	$pending = '';
}

# complain prints a line on standard error.
sub complain {
	flush_out();
	put(\*STDERR, "$_[0]\n");
}

# put writes all of a text, or nothing more after an error. A program of a query may have left the shell's streams without
# blocking (O_NONBLOCK).
sub put {
	my ($to, $text) = @_;
	while (length $text) {
		my $n = syswrite $to, $text;
		if (defined $n) {
			substr($text, 0, $n) = '';
		} elsif ($! == EAGAIN) {
			my $bits = '';
			vec($bits, fileno $to, 1) = 1;
			select undef, $bits, undef, undef;
		} elsif ($! != EINTR) {
			return;
		}
	}
}

# interrupted is what TERM, HUP and INT do. Between requests, they do nothing: the shell ends the hand by closing its input.
my $acting = 0;

sub interrupted { leave(143) if $acting }

# carry_out does what a request asks for, and returns the exit code.
sub carry_out {
	my ($mark, $name, @words) = @_;
	if ($mark ne '-') {
		put(\*STDOUT, "\n$mark $$\n");
		put(\*STDERR, "\n$mark $$\n");
	}
	my $mask = umask;
	my $code = eval {
		my $does = $does{$name} or fail("the hand has no function $name");
		$acting = $mark ne '-';
		my $code = $does->(@words);
		$acting = 0;
		$code;
	};
	my $why = $@;
	$acting = 0;
	if (!defined $code) {
		complain($why) unless ref $why;
		$code = ref $why ? $why->{code} : 1;
	}
	$_->() for @afterwards;
	umask $mask;
	chdir '/';
	flush_out();
	return $code;
}

# take reads one request, and returns nothing if there is none.
sub take {
	my $line = <STDIN>;
	return unless defined $line && chomp $line;
	my ($mark, @lengths) = split / /, $line;
	my @words;
	for my $length (@lengths) {
		my $word = '';
		my $n = read STDIN, $word, $length;
		return unless defined $n && $n == $length;
		push @words, $word;
	}
	return ($mark, @words);
}

sub serve {
	open(my $told, '>&=', 3) or exit 1;
	fcntl $told, F_SETFD, FD_CLOEXEC;
	binmode STDIN;
	$SIG{$_} = \&interrupted for qw(TERM HUP INT);
	$SIG{PIPE} = sub { }; # the shell notices that nobody reads any more
	$SIG{CHLD} = 'DEFAULT';
	# Perl's own variables are for the programs that it starts: see hand.sh.
	for (grep { /^_hl_kept_/ } keys %ENV) {
		$ENV{substr $_, length '_hl_kept_'} = delete $ENV{$_};
	}
	chdir '/' or exit 1;
	look('/') or exit 1; # an old container may forbid statx
	put($told, "ready\n");
	while (my ($mark, @words) = take()) {
		put($told, carry_out($mark, @words) . "\n");
	}
	exit 0;
}
