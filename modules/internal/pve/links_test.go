package pve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// The answers were recorded with corosync 3.1.9 (transcripts/corosync-cfgtool-s.two-links.txt), and with 3.1.7 while a
// third node's link was down.
func TestLinks(t *testing.T) {
	const healthy = `totem.config_version (u64) = 12
Local node ID 1, transport knet
LINK ID 0 udp
	addr	= 10.77.0.11
	status:
		nodeid:          1:	localhost
		nodeid:          2:	connected
		nodeid:          3:	connected
LINK ID 1 udp
	addr	= 10.77.1.11
	status:
		nodeid:          1:	localhost
		nodeid:          2:	connected
		nodeid:          3:	disconnected
`
	for name, test := range map[string]struct {
		answer remote.Answer
		want   Links
		fails  string
	}{
		"one link is down": {answer: remote.Answer{Stdout: []byte(healthy)}, want: Links{Version: 12, Connected: map[int][]int{0: {2, 3}, 1: {2}}}},
		"stopped": {answer: remote.Answer{Exit: 1, Stderr: []byte("Failed to initialize the cmap API. Error CS_ERR_LIBRARY\n")},
			fails: "corosync cannot be asked for its links: exit code 1: Failed to initialize the cmap API. Error CS_ERR_LIBRARY"},
		"cut off": {answer: remote.Answer{Stdout: []byte("totem.config_version (u64) = 12\n")}, fails: "expected the links"},
		"garbled": {answer: remote.Answer{Stdout: []byte("LINK ID one udp\n")}, fails: "expected the number"},
	} {
		t.Run(name, func(t *testing.T) {
			LinkStates.Parse([]string{""}, []remote.Answer{test.answer}, func(_ string, got Links, err error) {
				switch {
				case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
					t.Errorf("error %v, want %q", err, test.fails)
				case test.fails == "" && err != nil:
					t.Error(err)
				case test.fails == "":
					if diff := cmp.Diff(test.want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// threeNodes was written by `pvecm create` and two joins (pve-cluster 9.1.6).
const threeNodes = `logging {
  debug: off
  to_syslog: yes
}

nodelist {
  node {
    name: pve1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.77.0.11
  }
  node {
    name: pve2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.77.0.12
  }
}

quorum {
  device {
    model: net
    net {
      algorithm: ffsplit
      host: 10.0.0.9
      tls: on
    }
    votes: 1
  }
  provider: corosync_votequorum
}

totem {
  cluster_name: lab
  config_version: 3
  interface {
    linknumber: 0
  }
  ip_version: ipv4-6
  link_mode: passive
  secauth: on
  token_coefficient: 125
  version: 2
}

`

func TestCorosyncConf(t *testing.T) {
	conf, err := ParseCorosyncConf(threeNodes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(threeNodes, conf.Text(3)); diff != "" {
		t.Errorf("unchanged (-want +got):\n%s", diff)
	}
	addresses := map[string]string{"pve1": "10.78.0.11", "pve2": "10.78.0.12"}
	more := conf.WithLink(1, addresses, 20)
	want := strings.NewReplacer("config_version: 3", "config_version: 4",
		"ring0_addr: 10.77.0.11\n", "ring0_addr: 10.77.0.11\n    ring1_addr: 10.78.0.11\n",
		"ring0_addr: 10.77.0.12\n", "ring0_addr: 10.77.0.12\n    ring1_addr: 10.78.0.12\n",
		"    linknumber: 0\n  }\n", "    linknumber: 0\n  }\n  interface {\n    knet_link_priority: 20\n    linknumber: 1\n  }\n").Replace(threeNodes)
	if diff := cmp.Diff(want, more.Text(4)); diff != "" {
		t.Errorf("with a link (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(addresses, more.Links()[1]); diff != "" || more.Priority(1) != 20 || more.Priority(0) != DefaultPriority {
		t.Errorf("link 1 has priority %d and (-want +got):\n%s", more.Priority(1), diff)
	}
	if diff := cmp.Diff(threeNodes, more.WithoutLink(1).Text(3)); diff != "" {
		t.Errorf("without it (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(strings.Replace(threeNodes, "    linknumber: 0", "    knet_link_priority: 7\n    linknumber: 0", 1), conf.WithLink(0, nil, 7).Text(3)); diff != "" {
		t.Errorf("with a priority (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(threeNodes, conf.Text(3)); diff != "" {
		t.Errorf("it was changed in place (-want +got):\n%s", diff)
	}
	if commented, err := ParseCorosyncConf("# by hand\n" + strings.ReplaceAll(threeNodes, "\n  ", "\n\t")); err != nil || commented.Text(3) != threeNodes {
		t.Errorf("with a comment and tabs: %v\n%s", err, commented.Text(3))
	}
	for text, want := range map[string]string{
		"totem {":   "not closed",
		"totem { }": "cluster_name",
		strings.Replace(threeNodes, "version: 2", "transport: udpu", 1): "expected knet",
	} {
		if _, err := ParseCorosyncConf(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", text, err, want)
		}
	}
}
