// Package privilege gives up privileges: the process becomes an ordinary user, on every thread, with the capabilities that
// it still needs and no way to more.
package privilege

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// Capabilities that receiving needs: see the README's table, and the tests that leave out each.
var (
	ToOpen  = []cap.Value{cap.NET_ADMIN, cap.NET_RAW, cap.BPF, cap.PERFMON, cap.IPC_LOCK} // Open, whenever it is called
	ToMatch = []cap.Value{cap.NET_ADMIN, cap.BPF, cap.PERFMON}                            // SetMatch loads a program
)

// User is who to become.
type User struct {
	Name     string
	UID, GID int
	Groups   []int // supplementary
}

// Lookup finds a user by name, by number, or by UID:GID, which need not be in any list.
func Lookup(name string) (u User, err error) {
	if uid, gid, both := strings.Cut(name, ":"); both {
		u.Name = name
		if u.UID, err = strconv.Atoi(uid); err == nil {
			u.GID, err = strconv.Atoi(gid)
		}
		if err != nil || u.UID < 0 || u.GID < 0 {
			return u, fmt.Errorf("user %q: want a name, a number, or UID:GID", name)
		}
		return u, u.ordinary()
	}
	found, err := user.Lookup(name)
	if err != nil {
		if found, err = user.LookupId(name); err != nil {
			return u, fmt.Errorf("no user %q here (see: getent passwd)", name)
		}
	}
	u.Name = found.Username
	if u.UID, err = strconv.Atoi(found.Uid); err != nil {
		return u, err
	}
	if u.GID, err = strconv.Atoi(found.Gid); err != nil {
		return u, err
	}
	ids, err := found.GroupIds()
	if err != nil {
		ids = nil // the primary group alone is the safe side
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil && gid != u.GID {
			u.Groups = append(u.Groups, gid)
		}
	}
	return u, u.ordinary()
}

func (u User) ordinary() error {
	if u.UID == 0 {
		return errors.New("root is not an ordinary user: nothing would be given up")
	}
	return nil
}

// Become makes every thread of the process this user's, with the capabilities of keep and no others, for good
// (no_new_privs). On error the process should end: it may be half-way.
func (u User) Become(keep ...cap.Value) error {
	if err := cap.SetGroups(u.GID, u.Groups...); err != nil {
		return fmt.Errorf("become %s: groups: %w (it takes root, or CAP_SETGID, CAP_SETUID and CAP_SETPCAP)", u.Name, err)
	}
	if err := cap.SetUID(u.UID); err != nil {
		return fmt.Errorf("become %s: %w (it takes root, or CAP_SETUID and CAP_SETPCAP)", u.Name, err)
	}
	had := cap.GetProc()
	left := cap.NewSet()
	for _, c := range keep {
		if has, err := had.GetFlag(cap.Permitted, c); err != nil || !has {
			continue // whoever does not have it now did not need it
		}
		if err := errors.Join(left.SetFlag(cap.Permitted, true, c), left.SetFlag(cap.Effective, true, c)); err != nil {
			return fmt.Errorf("become %s: %v: %w", u.Name, c, err)
		}
	}
	if err := left.SetProc(); err != nil {
		return fmt.Errorf("become %s: capabilities: %w", u.Name, err)
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("become %s: ambient capabilities: %w", u.Name, err)
	}
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("become %s: no_new_privs: %w", u.Name, err)
	}
	return nil
}
