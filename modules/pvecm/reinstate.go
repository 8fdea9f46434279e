package pvecm

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

var configVersion = regexp.MustCompile(`(?m)^([ \t]*config_version[ \t]*:[ \t]*)([0-9]+)[ \t]*$`)

// reinstate gives an older corosync.conf the version after the current one: pmxcfs passes only newer ones to corosync.
func reinstate(path string, kept, now []byte) ([]byte, error) {
	version, err := versionOf(now)
	if err != nil {
		return nil, fmt.Errorf("%s, current copy: %w", path, err)
	}
	if _, err := versionOf(kept); err != nil {
		return nil, fmt.Errorf("%s, saved copy: %w", path, err)
	}
	if string(kept) == string(now) {
		return kept, nil
	}
	return configVersion.ReplaceAll(kept, []byte("${1}"+strconv.FormatUint(version+1, 10))), nil
}

// versionOf returns the config_version of a corosync.conf.
func versionOf(conf []byte) (uint64, error) {
	found := configVersion.FindAllSubmatch(conf, -1)
	if len(found) != 1 {
		return 0, fmt.Errorf("it has %d config_version lines, expected one", len(found))
	}
	version, err := strconv.ParseUint(string(found[0][2]), 10, 64)
	if err != nil || version == math.MaxUint64 {
		return 0, fmt.Errorf("its config_version %s is not a number that can be incremented", found[0][2])
	}
	return version, nil
}
