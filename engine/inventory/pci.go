package inventory

import (
	"math/big"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
)

var (
	pciNames   = []string{"id", "class", "drivers", "group"}
	pciAddress = pattern.New(`^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	pciID      = pattern.New(`^[0-9a-f]{4}:[0-9a-f]{4}$`)
	pciClass   = pattern.New(`^[0-9a-f]{4}$`)
)

// pci decodes a block that describes a PCI device. before are the devices that precede it in its block.
func (d *decoder) pci(block *hclsyntax.Block, before []PCIDevice) (PCIDevice, bool) {
	address, ok := d.label(block, "PCI device")
	if !ok {
		return PCIDevice{}, false
	}
	if !pciAddress.MatchString(address) {
		d.errorf(block.LabelRanges[0], "Invalid PCI device", "%q is not an address such as \"0000:01:00.0\": domain, bus, device and function in lower-case hexadecimal digits.", address)
		return PCIDevice{}, false
	}
	if slices.ContainsFunc(before, func(other PCIDevice) bool { return other.Address == address }) {
		d.errorf(block.DefRange(), "Duplicate PCI device", "This rehearsal block has a PCI device %q already.", address)
		return PCIDevice{}, false
	}
	device := PCIDevice{Address: address}
	for _, attr := range attributes(block.Body) {
		switch attr.Name {
		case "id":
			set(&device.ID, d.digits(attr, pciID, "vendor and device, such as \"10de:2204\""))
		case "class":
			set(&device.Class, d.digits(attr, pciClass, "a class and subclass, such as \"0300\""))
		case "drivers":
			if list := d.strings(attr); list != nil {
				device.Drivers = *list
			}
		case "group":
			set(&device.Group, d.group(attr))
		default:
			d.unknownAttribute(attr, "A pci block", pciNames)
		}
	}
	for _, inner := range block.Body.Blocks {
		d.unknownBlock(inner, "A pci block", nil)
	}
	if device.ID == "" || device.Class == "" {
		d.errorf(block.DefRange(), "Incomplete PCI device", "A pci block needs id and class.")
		return PCIDevice{}, false
	}
	return device, true
}

// digits decodes a string that must match form.
func (d *decoder) digits(attr *hclsyntax.Attribute, form *pattern.Regexp, what string) *string {
	text := d.string(attr)
	if text != nil && !form.MatchString(*text) {
		d.errorf(attr.Expr.Range(), "Invalid PCI device", "%q is not %s, in lower-case hexadecimal digits.", *text, what)
		return nil
	}
	return text
}

// group decodes the number of an IOMMU group.
func (d *decoder) group(attr *hclsyntax.Attribute) *int {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if value.Type() == cty.Number {
		if n, accuracy := value.AsBigFloat().Int64(); accuracy == big.Exact && n >= 0 && n < 1<<16 {
			group := int(n)
			return &group
		}
	}
	d.wrongType(attr, "the number of an IOMMU group", value)
	return nil
}

func writePCI(body *hclwrite.Body, d PCIDevice) {
	body.SetAttributeValue("id", cty.StringVal(d.ID))
	body.SetAttributeValue("class", cty.StringVal(d.Class))
	if len(d.Drivers) > 0 {
		body.SetAttributeValue("drivers", stringList(d.Drivers))
	}
	if d.Group != 0 {
		body.SetAttributeValue("group", cty.NumberIntVal(int64(d.Group)))
	}
}

// usbPort matches the ports of USB devices as the kernel names them.
var usbPort = pattern.New(`^[0-9]+-[0-9]+(\.[0-9]+)*$`)

// usb decodes the USB devices of a node.
func (d *decoder) usb(attr *hclsyntax.Attribute) map[string]string {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if !value.Type().IsObjectType() {
		d.wrongType(attr, "an object of USB devices, such as { \"1-2\" = \"0781:5567\" }", value)
		return nil
	}
	devices := map[string]string{}
	for port, id := range value.AsValueMap() {
		if !usbPort.MatchString(port) || id.IsNull() || id.Type() != cty.String || !pciID.MatchString(id.AsString()) {
			d.errorf(attr.Expr.Range(), "Invalid USB device", "%q is expected to be a port such as \"1-2.3\", with vendor and product in lower-case hexadecimal digits: \"0781:5567\".", port)
			return nil
		}
		devices[port] = id.AsString()
	}
	return devices
}
