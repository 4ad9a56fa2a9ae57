package cli

import (
	"cmp"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

const (
	// minEnvironment is the length in bytes of the shortest value of a variable that counts as a secret.
	minEnvironment = 8
	// maxCredentials bounds what is read of a file with credentials.
	maxCredentials = 4 << 20
)

var (
	// secretVariable are the names of variables that hold secrets, such as GITHUB_TOKEN, STRAKE_KEY_PASSWORD,
	// KBLD_REGISTRY_PASSWORD_1 and AWS_SECRET_ACCESS_KEY.
	secretVariable = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|ACCESS_KEY|PRIVATE_KEY|API_KEY|CREDENTIALS?|AGE_KEY)(_\d+)?$`)
	// secretField are the fields of kubeconfigs and docker configs that hold secrets, in YAML and in JSON. A file
	// that is broken has them too.
	secretField = regexp.MustCompile(`(?m)(?:^|[\s{,"'])"?(auth|password|identitytoken|registrytoken|token|client-key-data|id-token|refresh-token|client-secret)"?\s*:\s*["']?([^\s"',}]+)`)
)

// passwordInURL is the password of a URL, in an argument.
var passwordInURL = regexp.MustCompile(`://[^/\s:@]*:([^/\s@]+)@`)

// learnPasswords has passwords in URLs among the arguments kept out of all that is printed, also where only a
// part of the URL is.
func (t *tool) learnPasswords(args []string) {
	for _, arg := range args {
		if m := passwordInURL.FindStringSubmatch(arg); m != nil {
			t.learn([]byte(m[1]))
		}
	}
}

// learnSecrets has the secrets of the environment kept out of all that is printed: those of variables, of the
// kubeconfig and of the docker config. What can't be read holds none that could be printed.
func (t *tool) learnSecrets(cmd *cobra.Command) {
	if t.environ == nil {
		return
	}
	for _, variable := range t.environ() {
		name, value, _ := strings.Cut(variable, "=")
		if secretVariable.MatchString(name) && len(value) >= minEnvironment {
			t.learn([]byte(value))
		}
	}
	for _, file := range t.credentialFiles(cmd) {
		for _, m := range secretField.FindAllStringSubmatch(beginning(file), -1) {
			field, value := m[1], m[2]
			t.learn([]byte(value))
			if plain, err := base64.StdEncoding.DecodeString(value); err == nil && field == "auth" {
				_, password, _ := strings.Cut(string(plain), ":")
				t.learn([]byte(password))
			} else if err == nil && field == "client-key-data" {
				t.learn(plain)
			}
		}
	}
}

// credentialFiles are the kubeconfigs and the docker config that a command may use.
func (t *tool) credentialFiles(cmd *cobra.Command) []string {
	home, _ := os.UserHomeDir() // empty where there is none
	files := []string{filepath.Join(cmp.Or(t.getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker")), "config.json")}
	if flag := cmd.Flags().Lookup("kubeconfig"); flag != nil && flag.Value.String() != "" {
		return append(files, flag.Value.String())
	}
	if list := t.getenv("KUBECONFIG"); list != "" {
		return append(files, filepath.SplitList(list)...)
	}
	return append(files, filepath.Join(home, ".kube", "config"))
}

// beginning is what a regular file begins with; nothing if it can't be read.
func beginning(name string) string {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxCredentials {
		return ""
	}
	data, _ := os.ReadFile(name) // what can't be read has nothing to hide
	return string(data)
}

// learn has a value kept out of all that is printed.
func (t *tool) learn(value []byte) {
	if t.secrets.Add(value) {
		t.learned = append(t.learned, value)
	}
}
