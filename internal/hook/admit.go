package hook

import (
	"errors"
	"fmt"

	"strake.dev/strake/stages"
)

// An Admission says what may be built of one document.
type Admission struct {
	// Err is why its sources may not be built.
	Err error
	// Remote tells that Err doesn't hold for sources that are repositories: they need no folder.
	Remote bool
}

// Admit tells for each document of a call of kbld what may be built of it, and in which folder: that of
// the App whose paths are among those of the call's “-f”, else the one that the documents' stamps name.
// The folder is empty if none is known.
func Admit(documents []map[string]any, paths []string, getenv func(string) string) (folder string, admissions []Admission, err error) {
	if folder, err = AppFolder(paths); err != nil {
		return "", nil, err
	}
	admissions = make([]Admission, len(documents))
	stamped := make([]bool, len(documents))
	for i, doc := range documents {
		if !HasSources(doc) {
			continue
		}
		if _, stamped[i] = stampOf(doc); !stamped[i] {
			continue
		}
		found, err := stampFolder(doc, getenv)
		switch {
		case err != nil:
			admissions[i] = Admission{Err: err}
		case folder != "" && found != folder:
			admissions[i] = Admission{Err: &StampError{fmt.Sprintf("is of the App in %s, and not of that in %s", found, folder)}}
		default:
			folder = found
		}
	}
	if inArgs, _ := AppFolder(paths); inArgs != "" {
		return folder, admissions, nil
	}
	for i, doc := range documents {
		if HasSources(doc) && !stamped[i] {
			admissions[i] = Admission{Err: errNoFolder(), Remote: true}
		}
	}
	return folder, admissions, nil
}

func errNoFolder() error {
	return stages.WithHint(errors.New("its source counts from the App's folder, which is not known here: the Config has no stamp"),
		"let ytt render the Config from the App's own files, with strake as ytt; or name its file: “kbld: {paths: [\"-\", config/build.yml]}”; or let path be the URL of a git repository")
}

// stampFolder is the folder of a stamp that holds.
func stampFolder(doc map[string]any, getenv func(string) string) (string, error) {
	key, err := keyFor(getenv, "")
	if err != nil {
		return "", err
	}
	return key.Folder(doc)
}

// keyFor returns the key of the environment. It must not lie where the files of a folder's App do.
func keyFor(getenv func(string) string, folder string) (Key, error) {
	file, err := KeyFile(getenv)
	if err != nil {
		return Key{}, err
	}
	if err := apart(file, folder); err != nil {
		return Key{}, err
	}
	return LoadKey(file)
}
