package mapping

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// ports returns pve1 of two hosts with USB devices, by port.
func ports(first, second map[string]string, have map[string]pve.Mapping) *observe.Host {
	h := pair(have, "10de:2204", "20")
	for name, devices := range map[string]map[string]string{"pve1": first, "pve2": second} {
		peer, _ := h.Peer(name)
		peer.Predict([]observe.Expectation{usbDevices.Expect("", devices)})
	}
	return h
}

func TestUSB(t *testing.T) {
	const key, hub = "0781:5567", "05e3:0610"
	mapping := func(lines ...string) map[string]pve.Mapping {
		m := pve.Mapping{Options: map[string]string{}}
		for _, text := range lines {
			m.Devices = append(m.Devices, device(text))
		}
		return map[string]pve.Mapping{"usb/stick": m}
	}
	for name, test := range map[string]struct {
		devices       map[string]string
		first, second map[string]string
		have          map[string]pve.Mapping
		want          string // the command or the error
	}{
		"by product and by port": {devices: map[string]string{"pve1": key, "pve2": "1-2"}, first: map[string]string{"1-1": hub, "1-1.4": key}, second: map[string]string{"1-2": key},
			want: "pvesh create /cluster/mapping/usb --id stick --map id=0781:5567,node=pve1 --map id=0781:5567,node=pve2,path=1-2"},
		"there": {devices: map[string]string{"pve1": key}, first: map[string]string{"1-1": key}, have: mapping("node=pve1,id=0781:5567")},
		"another node stays": {devices: map[string]string{"pve1": key}, first: map[string]string{"1-1": key}, have: mapping("node=pve2,id=0781:5567,path=1-2"),
			want: "pvesh set /cluster/mapping/usb/stick --map id=0781:5567,node=pve2,path=1-2 --map id=0781:5567,node=pve1"},
		"what a person wrote stays": {devices: map[string]string{"pve1": "1-3"}, first: map[string]string{"1-3": key}, have: mapping("node=pve1,id=05e3:0610,path=1-3,description=front"),
			want: "pvesh set /cluster/mapping/usb/stick --map description=front,id=0781:5567,node=pve1,path=1-3"},
		"not plugged in": {devices: map[string]string{"pve1": key}, first: map[string]string{"1-1": hub}, want: "pve1 has no device 0781:5567; it has: 05e3:0610 at 1-1"},
		"an empty port":  {devices: map[string]string{"pve1": "1-9"}, want: "nothing is plugged in at port 1-9 of pve1; it has: none"},
		"two of them":    {devices: map[string]string{"pve1": key}, first: map[string]string{"1-1": key, "2-1": key}, want: "several devices 0781:5567: give the port of the right one: 1-1, 2-1"},
		"more of a node": {devices: map[string]string{"pve1": key}, first: map[string]string{"1-1": key}, have: mapping("node=pve1,id=0781:5567,path=1-1", "node=pve1,id=0781:5567,path=1-2"), want: "mapping stick has 2 devices of pve1 (1-1, 1-2)"},
	} {
		t.Run(name, func(t *testing.T) {
			h := ports(test.first, test.second, test.have)
			m := &Module{USB: &USB{ID: "stick", Devices: test.devices}}
			plan, err := m.Plan(t.Context(), h)
			got := ""
			switch {
			case err != nil:
				got = err.Error()
			case len(plan.Steps) > 0:
				got = strings.Join(plan.Steps[0].Action.(modules.Run).Argv, " ")
				modulestest.Converges(t, m, h)
			}
			if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseUSB(t *testing.T) {
	// Recorded on a host with a root hub, a hub, and a stick behind the hub.
	text := "1-1/idVendor:05e3\n1-1.4/idVendor:0781\nusb1/idVendor:1d6b\n1-1/idProduct:0610\n1-1.4/idProduct:5567\nusb1/idProduct:0002\n"
	devices, err := parseUSB(remote.Answer{Stdout: []byte(text)})
	if err != nil || len(devices) != 2 || devices["1-1.4"] != "0781:5567" || devices["1-1"] != "05e3:0610" {
		t.Errorf("got %v (%v)", devices, err)
	}
	for name, a := range map[string]remote.Answer{"unreadable": {Exit: 1}, "cut off": {Stdout: []byte("1-1/idProduct:0610\n")}} {
		if _, err := parseUSB(a); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUSBArguments(t *testing.T) {
	for name, u := range map[string]USB{
		"no device":  {ID: "stick"},
		"upper case": {ID: "stick", Devices: map[string]string{"pve1": "0781:556F"}},
		"a bus":      {ID: "stick", Devices: map[string]string{"pve1": "001/004"}},
		"a name":     {ID: "9", Devices: map[string]string{"pve1": "0781:5567"}},
	} {
		if err := (&Module{USB: &u}).Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (&Module{USB: &USB{}, PCI: &PCI{}}).Validate(); err == nil || !strings.Contains(err.Error(), "pci or usb") {
		t.Errorf("both blocks: %v", err)
	}
}
