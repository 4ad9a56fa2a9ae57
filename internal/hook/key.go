package hook

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"strake.dev/strake/stages"
)

// KeyVariable is the environment variable that names the file of the [Key].
const KeyVariable = "STRAKE_HOOK_KEY_FILE"

// stateFolder is the folder below HOME that has what the hook keeps.
const stateFolder = ".strake-hook"

// keySize is that of a key, in bytes.
const keySize = 32

// A Key is what stamps are made and recognised with. Who has it can have kbld build from any folder.
type Key [keySize]byte

// KeyFile is the path of the key's file: that of [KeyVariable], else one below HOME.
func KeyFile(getenv func(string) string) (string, error) {
	if file := getenv(KeyVariable); file != "" {
		if !filepath.IsAbs(file) {
			return "", fmt.Errorf("%s: expected an absolute path, found %q", KeyVariable, file)
		}
		return file, nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, stateFolder, "key"), nil
	}
	return "", stages.WithHint(errors.New("there is no place for the hook's key: HOME is not set"), "set %s", KeyVariable)
}

// LoadKey reads the key of a file, and makes both if the file isn't there. Of processes that do so at
// once, all get the same one.
func LoadKey(file string) (Key, error) {
	key, err := readKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeKey(file); err != nil {
		return Key{}, stages.WithHint(fmt.Errorf("the hook's key can't be made: %w", err), "let %s name a file in a folder that only this container can write to", KeyVariable)
	}
	return readKey(file)
}

// makeKey writes a whole file and then gives it its name, unless another process was faster.
func makeKey(file string) error {
	var key Key
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".key-") // it has the mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(hex.EncodeToString(key[:]) + "\n")
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func readKey(file string) (Key, error) {
	var key Key
	info, err := os.Lstat(file)
	if err != nil {
		return key, err
	}
	// A Secret that is mounted consists of links; what they lead to counts.
	if info.Mode()&fs.ModeSymlink != 0 {
		if info, err = os.Stat(file); err != nil {
			return key, err
		}
	}
	switch {
	case !info.Mode().IsRegular():
		return key, fmt.Errorf("the hook's key %s: expected a file", file)
	case info.Mode().Perm()&0o037 != 0:
		return key, stages.WithHint(fmt.Errorf("the hook's key %s: others may read or write it: its mode is %04o", file, info.Mode().Perm()), "chmod 0600 %s", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return key, err
	}
	bytes, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(bytes) != keySize {
		return key, stages.WithHint(fmt.Errorf("the hook's key %s: expected %d hex digits", file, 2*keySize), "remove the file, and a new one is made")
	}
	copy(key[:], bytes)
	return key, nil
}
