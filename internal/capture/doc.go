// Package capture writes packets to pcapng files and reads them back from pcapng and pcap files. Ethernet only: a frame
// of another link type has no place in a receiver's chunk.
package capture
