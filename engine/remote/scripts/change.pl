# The functions that create, change or remove what is at a path: write.sh, makedir.sh, attributes.sh, remove.sh and link.sh
# say what each guarantees. Complaints are those of the programs that the shell would use.

# ids returns the IDs of an owner "USER", "USER:GROUP" or ":GROUP", -1 for what is not named.
sub ids {
	my ($owner) = @_;
	my ($user, $group) = split /:/, $owner, 2;
	return (user_id($user // ''), group_id($group // ''));
}

sub user_id {
	my ($user) = @_;
	return -1 if $user eq '';
	my $id = getpwnam $user;
	return $id if defined $id;
	return $user + 0 if is_id($user);
	fail("chown: invalid user: '$user'");
}

sub group_id {
	my ($group) = @_;
	return -1 if $group eq '';
	my $id = getgrnam $group;
	return $id if defined $id;
	return $group + 0 if is_id($group);
	fail("chgrp: invalid group: '$group'");
}

# is_id reports whether a word is a number that the kernel takes for the ID of a user or group.
sub is_id { $_[0] =~ /^[0-9]+\z/ && $_[0] < 4294967295 }

# give changes the owner of a file, and not that of what a link leads to.
sub give {
	my ($file, $owner) = @_;
	return if $owner eq '';
	my ($uid, $gid) = ids($owner);
	syscall($call->{fchownat}, AT_FDCWD, "$file", $uid, $gid, AT_SYMLINK_NOFOLLOW) == 0
		or fail("chown: changing ownership of '$file': $!");
}

# allow sets the mode of a file that is no link. A directory keeps its setuid and setgid bits, as with chmod(1).
sub allow {
	my ($file, $mode) = @_;
	my $is = look($file) or fail("chmod: cannot access '$file': $!");
	my $bits = oct $mode;
	$bits |= $is->{mode} & 06000 if is_dir($is);
	chmod $bits, $file or fail("chmod: changing permissions of '$file': $!");
}

# in_pve reports whether a place is in Proxmox VE's cluster file system, which sets modes and owners itself.
sub in_pve { "$_[0]{at}/" =~ m{^/etc/pve/} }

# has_attributes reports whether a file may have an access control list or extended attributes.
sub has_attributes {
	my ($file) = @_;
	my $n = syscall($call->{llistxattr}, "$file", 0, 0);
	return $n > 0 || $n < 0 && $! != EOPNOTSUPP;
}

# PATH WORD SIZE MODE OWNER GROUP SEEN LAST CONTENT SUM
sub write_file {
	my ($path, $word, $size, $mode, $user, $group, $over, $last, $content, $sum) = @_;
	$content //= '';
	my $place = reach($path, $last);
	absent($place);
	my $is = look("./$place->{name}");
	fail('its link cannot be followed') if $last ne 'name' && is_link($is);
	fail("$place->{at}/$place->{name} is a directory") if is_dir($is);
	fresh($place, $word);
	my ($file, $to) = @$place{qw(new to)};
	$is = look($to);
	if (!$is || is_link($is)) {
		# Until it is changed, the group that may read the file is the directory's.
		umask 0022 if $mode eq '' || $mode eq '644';
		umask 0027 if $mode eq '640' && $group eq '';
	}
	sysopen my $out, $file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666 or fail("cannot create $file: $!");
	write_all($out, $file, $content);

	my $old = look($to);
	$old = undef unless is_file($old);
	if (!in_pve($place)) {
		if (!$old) {
			$mode = '644' if $mode eq '';
		} elsif (has_attributes($to) || has_attributes($file)) {
			run(undef, 'cp', '-P', '--attributes-only', '--preserve=mode,ownership,xattr', '--', $to, $file) == 0
				or fail('its access control list and extended attributes cannot be carried over to the new file');
		}
	}
	dress($out, $file, $old, $mode, $user, $group, $size);

	# Sync first and compare afterwards: a change that somebody makes after the comparison would be lost.
	syscall($call->{fsync}, fileno $out) == 0 || $! == EINVAL or fail("sync: error syncing '$file': $!");
	close $out or fail("error writing '$file': $!");
	$is = look($to);
	!$is || is_link($is) || is_file($is) or fail("$path is not a regular file");
	check($place, $over, $to) if $over ne 'absent';
	put_in_place($place, $over);
	look_keep($sum, $content) if defined $sum;
	return 0;
}

# write_all writes the content of a file.
sub write_all {
	my ($out, $file, $content) = @_;
	my $done = 0;
	while ($done < length $content) {
		my $n = syswrite $out, $content, length($content) - $done, $done;
		next if !defined $n && $! == EINTR;
		defined $n or fail("error writing '$file': $!");
		$done += $n;
	}
}

# dress gives the new file its owner and mode, by default those of the old one, if they differ: in /etc/pve, where they are
# fixed, a change is an error.
sub dress {
	my ($out, $file, $old, $mode, $user, $group, $size) = @_;
	my $is = look($file) or fail("$file has disappeared");
	$is->{size} == $size or fail("only $is->{size} of $size bytes have arrived");
	my ($uid, $gid) = (user_id($user), group_id($group));
	my $bits = $mode eq '' ? -1 : oct $mode;
	if ($old) {
		my $kept = $old->{mode};
		# Setuid and setgid were meant for a program of the previous owner and group, and that owner may have set them.
		$kept &= 0777 if $uid != -1 && $uid != $old->{uid} || $gid != -1 && $gid != $old->{gid};
		$bits = $kept if $bits == -1;
		$uid = $old->{uid} if $uid == -1;
		$gid = $old->{gid} if $gid == -1;
	}
	$uid = -1 if $uid == $is->{uid};
	$gid = -1 if $gid == $is->{gid};
	if ($uid != -1) {
		chown $uid, -1, $out or fail("chown: changing ownership of '$file': $!");
	}
	if ($gid != -1) {
		chown -1, $gid, $out or fail("chgrp: changing group of '$file': $!");
	}
	return if $bits == -1 || $bits == $is->{mode} && $uid == -1 && $gid == -1;
	chmod $bits, $out or fail("chmod: changing permissions of '$file': $!");
}

# PATH WORD MODE OWNER
sub make_dir {
	my ($path, $word, $mode, $owner) = @_;
	my $place = reach($path, 'dir');
	$mode = $owner = '' if in_pve($place);
	if ($place->{rest} eq '') {
		give('.', $owner);
		allow('.', $mode) if $mode ne '';
		return 0;
	}
	my $dir = "./$place->{rest}";
	if (!$place->{only}) {
		my $behind = substr $place->{rest}, length $place->{name};
		"$behind/" =~ m{/\.\./} and fail("$path leads through .. below $place->{at}/$place->{name}, which does not exist");
		fresh($place, $word);
		$dir = $place->{new} . $behind;
	}
	make_dirs($dir, $mode);
	give($dir, $owner);
	put_in_place($place, '') if !$place->{only};
	return 0;
}

# make_dirs makes a directory and those that it needs. The mode is that of the last one.
sub make_dirs {
	my ($dir, $mode) = @_;
	my @names = grep { $_ ne '' && $_ ne '.' } split m{/}, $dir;
	my $last = pop @names;
	my $made = '.';
	umask 0022;
	for my $name (@names) {
		$made .= "/$name";
		make_one($made, 0777);
	}
	$made .= "/$last";
	if ($mode eq '') {
		make_one($made, 0777);
		return;
	}
	# The bits beyond the permissions are set afterwards, and only then may others write.
	my $bits = oct $mode;
	my $special = $bits & 07000;
	umask 0;
	make_one($made, $special ? $bits & 0755 : $bits) or return;
	allow($made, $mode) if $special;
}

# make_one makes a directory, and reports whether it was missing.
sub make_one {
	my ($dir, $bits) = @_;
	return 1 if mkdir $dir, $bits;
	return 0 if $! == EEXIST && -d $dir;
	fail("mkdir: cannot create directory '$dir': $!");
}

# PATH WORD MODE OWNER
sub set_attributes {
	my ($path, $word, $mode, $owner) = @_;
	my $place = reach($path, 'name');
	$place->{rest} eq $place->{name} or fail("$path does not exist");
	my $name = $place->{name};
	my $file = $name eq '' ? '.' : "./$name";
	my $is = look($file);
	if (!$place->{only} && is_dir($is)) {
		enter($place, $name) if $name ne '';
		$file = '.';
	} elsif (!$place->{only}) {
		# A second name in a directory of our own pins a file. One that already had a second name may belong to somebody else.
		fresh($place, $word);
		$file = $place->{new};
		link $place->{to}, $file or fail("ln: failed to create hard link '$file' => '$place->{to}': $!");
		$is = look($file);
		if (is_file($is)) {
			$is->{links} == 2
				or fail("$path has further names (hard links), and $place->{by} may have made it one of a file that is not meant");
		} elsif (!is_link($is)) {
			fail("$path is not a regular file");
		}
	}
	give($file, $owner);
	allow($file, $mode) if $mode ne '' && !is_link($is);
	return 0;
}

# PATH -r SEEN
sub remove_path {
	my ($path, $recursive, $seen) = @_;
	my $place = reach($path, 'name');
	$place->{name} ne '' or fail("$path is not removed");
	return 0 if $place->{rest} ne $place->{name};
	my $file = "./$place->{name}";
	my $is = look($file);
	return remove_all($file) ? 0 : 1 if $recursive eq '-r';
	if (is_dir($is)) {
		rmdir $file or fail("rmdir: failed to remove '$file': $!");
		return 0;
	}
	check($place, $seen, $file) if $is;
	return 0 if unlink($file) || $! == ENOENT;
	fail("rm: cannot remove '$file': $!");
}

# PATH WORD TARGET SEEN
sub make_link {
	my ($path, $word, $target, $over) = @_;
	my $place = reach($path, 'name');
	absent($place);
	fresh($place, $word);
	symlink $target, $place->{new} or fail("ln: failed to create symbolic link '$place->{new}': $!");
	check($place, $over, $place->{to}) if $over ne 'absent';
	put_in_place($place, $over);
	return 0;
}

%does = (
	%does,
	_hl_write      => \&write_file,
	_hl_makedir    => \&make_dir,
	_hl_attributes => \&set_attributes,
	_hl_remove     => \&remove_path,
	_hl_link       => \&make_link,
);
