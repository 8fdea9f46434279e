package proof

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/http"
	"hlplay/modules/preflight"
)

// products are the packages that must have the same version on all nodes.
var products = []string{"pve-manager", "proxmox-ve", cephPackage}

// cephPackage is the server. A node of the cluster may do without: Proxmox VE comes with the client.
const cephPackage = "ceph"

// webPort is the port of Proxmox VE's web interface.
const webPort = "8006"

// failed observes the names of the units that have failed, under the empty name.
var failed = &observe.Kind[[]string]{
	Name: "proof-failed-units", What: "the units that have failed",
	Ask: func([]string) []remote.Query {
		return []remote.Query{remote.Argv(10*time.Second, "systemctl", "list-units", "--state=failed", "--no-legend", "--plain")}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []string, error)) {
		units, err := parseFailed(answers[0])
		for _, name := range names {
			tell(name, units, err)
		}
	},
}

// parseFailed parses the list, which has the name of a unit at the beginning of each line.
func parseFailed(a remote.Answer) ([]string, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("systemctl list-units: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	units := []string{}
	for line := range strings.Lines(string(a.Stdout)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			units = append(units, fields[0])
		}
	}
	return units, nil
}

// Gather reads everything about a node into n, whose Host, Address and Addresses are set. targets are the addresses of
// the other nodes. What cannot be read is an error: nothing is assumed to be in order.
func Gather(ctx context.Context, h *observe.Host, n *Node, targets []preflight.Target) error {
	request := http.Request{
		URL: "https://" + net.JoinHostPort(n.Address, webPort) + "/", Status: []int{200}, From: "controller",
		Certificate: []string{"/etc/pve/local/pveproxy-ssl.pem", "/etc/pve/local/pve-ssl.pem"},
	}
	errs := make([]error, 4)
	observe.Together(ctx,
		func(ctx context.Context) {
			var found map[string]observe.Package
			found, errs[0] = observe.Packages.ObserveAll(ctx, h, products)
			n.Packages = map[string]string{}
			for name, p := range found {
				if p.Installed() {
					n.Packages[name] = p.Version
				}
			}
		},
		func(ctx context.Context) { n.Failed, errs[1] = failed.Observe(ctx, h, "") },
		func(ctx context.Context) { n.Web, errs[2] = web(ctx, h, &request) },
		func(ctx context.Context) { n.Links, n.Paths, n.NoPing, errs[3] = preflight.Paths(ctx, h, targets) },
	)
	return errors.Join(errs...)
}

// web asks a node's web interface for its page.
func web(ctx context.Context, h *observe.Host, request *http.Request) (Web, error) {
	plan, err := request.Plan(ctx, h)
	if err != nil {
		return Web{}, err
	}
	var w Web
	if status := plan.Data.GetAttr("status"); !status.IsNull() && status.IsKnown() {
		n, _ := status.AsBigFloat().Int64()
		w.Status = int(n)
	}
	if sum := plan.Data.GetAttr("sha256"); !sum.IsNull() && sum.IsKnown() {
		w.SHA256 = sum.AsString()
	}
	if len(plan.Steps) > 0 {
		w.Problem = plan.Steps[0].Unmet
	}
	return w, nil
}

// commonest returns the value that most nodes have, the smallest of several.
func commonest(values []string) string {
	slices.Sort(values)
	best, most := "", 0
	for i := 0; i < len(values); {
		end := i
		for end < len(values) && values[end] == values[i] {
			end++
		}
		if end-i > most {
			best, most = values[i], end-i
		}
		i = end
	}
	return best
}
