//go:build linux

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Lock takes an exclusive lock on a file, which it makes, and waits for whoever
// has it; waiting, if not nil, is called once when there is somebody to wait for.
// The kernel gives the lock back when the process ends, however that happens;
// unlock gives it back and removes the file.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder of lock file: %w", err)
	}
	for told := false; ; told = true {
		file, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if file != nil {
			return func() {
				_ = os.Remove(path)
				_ = file.Close()
			}, nil
		}
		if !told && waiting != nil {
			waiting()
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryLock returns nil without an error if somebody else has the lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && sameFile(file, path) {
		return file, nil
	}
	_ = file.Close()
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, err
	}
	return nil, nil //nolint:nilnil // no file: not locked, try again
}

// sameFile is false if the previous owner removed the file between our opening it
// and locking it.
func sameFile(file *os.File, path string) bool {
	mine, errMine := file.Stat()
	there, errThere := os.Stat(path)
	return errMine == nil && errThere == nil && os.SameFile(mine, there)
}
