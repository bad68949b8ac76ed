package txring

// Reason says why a packet was not sent.
type Reason uint8

const (
	Full     Reason = iota // no room in the tx ring, also after making the kernel send
	Down                   // the interface is down (ENETDOWN)
	Gone                   // the interface was deleted, or its socket failed
	TooLong                // longer than the MTU of the interface
	Short                  // shorter than an Ethernet header
	NoRoom                 // no headroom for the VLAN tag that the device took off
	Shared                 // somebody else holds the packet too
	Filtered               // the filter said no
	Refused                // the kernel took it, and the driver did not send it (EBUSY)
	NumReasons
)

var reasonNames = [NumReasons]string{"tx_full", "tx_down", "tx_gone", "tx_mtu", "tx_short", "tx_headroom", "tx_shared", "tx_filtered", "tx_refused"}

func (r Reason) String() string { return reasonNames[r] }
