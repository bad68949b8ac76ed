// Package backlog carries copies of packets from the queues' goroutines to one that writes, with a bound on the bytes
// that may wait.
//
// A queue's goroutine only copies: it formats nothing, waits for nobody but another copy, and gives the frames back at
// once. The other way, to hand retained packets to the writer, would copy less, but a terminal or a disk that is slow for
// a moment would then hold the frames that the kernel needs, and packets would be lost out of the ledger's sight; here
// they are lost under a name of their own.
package backlog
