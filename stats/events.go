package stats

// EventNames are the keys of Snapshot.Events: what can happen to an interface.
var EventNames = [...]string{"link_down", "link_up", "link_deleted", "link_renamed", "mtu_changed", "queues_changed", "program_detached", "program_replaced", "frames_truncated", "waiting", "opened"}
