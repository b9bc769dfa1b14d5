package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFile marks a folder as a lab's and is locked while that lab lives.
const lockFile = "lab.lock"

// claim acquires dir for the lab, empty but for the lock. It refuses the folder of a running lab, and one with
// files that are not a lab's. The kernel frees the lock when the lab's process ends.
func claim(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the lab's folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the lab's folder: %w", err)
	}
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); len(entries) > 0 && errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s contains files that are not a lab's: choose an empty or a new folder", dir)
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the lab's folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another lab: stop that one, or choose another folder (LAB_DIR)", dir)
		}
		return nil, fmt.Errorf("locking the lab's folder: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			_ = lock.Close()
			return nil, fmt.Errorf("removing the files of a former lab: %w", err)
		}
	}
	return lock, nil
}
