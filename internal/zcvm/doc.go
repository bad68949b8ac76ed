// Package zcvm proves zero-copy receiving without hardware: it is what scripts/zc-vm.sh puts into a QEMU guest whose
// NIC driver does real AF_XDP zero-copy, and the tests that run there.
//
//	Archive        writes the initramfs (command pack)
//	command guest  is /init there: modules, links, the program under test, its exit status
//	the tests      ask xrx for what its name promises
//
// The tests need two interfaces that are wired to each other, named by XRX_ZC_IFACE (receives) and XRX_ZC_PEER (sends).
// The guest sets both; on a machine with a NIC that does zero-copy they can be set by hand (docs/TESTING.md).
package zcvm
