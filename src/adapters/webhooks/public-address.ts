/**
 * Which addresses a request on somebody's behalf may reach: such as anybody on the internet can. Everything else - this machine,
 * the network around it, the metadata and token services of a cloud - could be made to answer to us what it answers to nobody else.
 */
import ipaddr from "ipaddr.js";

/** In Azure's network, on a public address: DHCP, DNS and the health of machines. https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16 */
const platformAddress = "168.63.129.16";
/** All that is handed out of IPv6; the library takes the rest for unicast too. https://www.iana.org/assignments/ipv6-unicast-address-assignments */
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");

/** An IPv4 address inside an IPv6 one counts as what it is. */
const parsed = (text: string): ipaddr.IPv4 | ipaddr.IPv6 | null => (ipaddr.isValid(text) ? ipaddr.process(text) : null);

export const isPublicAddress = (text: string): boolean => {
  const address = parsed(text);
  if (address?.range() !== "unicast" || address.toString() === platformAddress) return false;
  return address instanceof ipaddr.IPv4 || address.match(globalUnicast);
};

export const isLoopbackAddress = (text: string): boolean => parsed(text)?.range() === "loopback";
