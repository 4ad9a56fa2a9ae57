package lease

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
)

// Identity names this process for people: the job of the CI that it runs in, as far as that is known,
// else user, host and process. It holds no secret.
func Identity() string {
	for _, job := range []struct{ name, variable string }{
		{"GitHub Actions", "GITHUB_RUN_ID"}, {"GitLab CI job", "CI_JOB_ID"}, {"Jenkins", "BUILD_TAG"}, {"Tekton", "TEKTON_TASKRUN_NAME"},
	} {
		if id := os.Getenv(job.variable); id != "" {
			return fmt.Sprintf("%s %s/%d", job.name, id, os.Getpid())
		}
	}
	name := fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = cmp.Or(u.Username, name)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s@%s/%d", name, host, os.Getpid())
}
