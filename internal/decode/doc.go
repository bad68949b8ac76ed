// Package decode reads what is worth saying about a packet out of its bytes, and says it: as the line that tcpdump users
// know, or as a JSON object. It shares no code with the engine that merges packets, takes any bytes without panicking,
// and allocates nothing but what it appends to.
package decode
