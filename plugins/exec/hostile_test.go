package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// secret is in a file and in the environment, and must not be where a plugin puts what it has found.
const secret = "hunter2-of-the-host"

// An attack is a plugin that does what it must not. What it has found it yields as manifests.
type attack struct {
	name, script string
	// want is a part of the error; empty where the plugin may go on, as its attempts have no effect.
	want string
	// fetch means that it is a plugin of the fetch stage.
	fetch bool
}

const (
	hello   = `{"hello":{"protocol":"strake.dev/plugin/v1","name":"h","version":"v1","stages":["template","fetch"]}}`
	greets  = "read -r _; echo '" + hello + "'; read -r request; out=$(printf '%s' \"$request\" | sed -n 's/.*\"out\":\"\\([^\"]*\\)\".*/\\1/p'); temp=$HOME; m=$out/manifests.yaml; : >$m\n"
	answers = "\necho '{\"result\":{\"manifests\":\"manifests.yaml\"}}'\n"
)

// attacks are all, given the folder of the victim: a file “secret”, and a folder that strake's user can write to.
func attacks(victim string) []attack {
	var all []attack
	add := func(name, script, want string) { all = append(all, attack{name: name, script: script, want: want}) }
	try := func(name, script string) { add(name, greets+"{ "+script+"\n} >>$m 2>/dev/null"+answers, "") }

	for _, file := range []string{victim + "/secret", "/etc/shadow", "/root/.ssh/id_rsa", "/proc/1/environ", "/proc/self/../1/cmdline", "/proc/$PPID/environ", "/proc/$PPID/root" + victim + "/secret", "/proc/$PPID/cwd/secret", "/proc/$PPID/mem"} {
		for name, how := range map[string]string{
			"cat": "cat %s", "link": "ln -s %[1]s $out/l; cat $out/l", "hard link": "ln %[1]s $out/h; cat $out/h",
			"dd": "dd if=%s", "shell": "read -r x < %s; echo $x", "copy": "cp %s $out/c; cat $out/c",
		} {
			try("read "+strings.TrimPrefix(file, victim)+" by "+name, fmt.Sprintf(how, file))
		}
	}
	for name, how := range map[string]string{
		"create": "echo x > $V/new", "overwrite": "echo x > $V/secret", "append": "echo x >> $V/secret", "remove": "rm -f $V/secret",
		"rename away": "mv $V/secret $out/", "rename over": "echo x > $out/y; mv $out/y $V/secret", "chmod": "chmod 777 $V/secret", "chown": "chown 1 $V/secret",
		"touch": "touch -d 2001-01-01 $V/secret", "mkdir": "mkdir $V/d", "link in": "ln -s /etc $V/new", "truncate": "truncate -s 0 $V/secret",
		"through a link": "ln -s $V $out/v; echo x > $out/v/new", "through temp": "ln -s $V $temp/v; rm -f $temp/v/secret", "dotdot": "cd $out; echo x > ../../../../../../../..$V/new",
		"fifo": "mkfifo $V/new", "device": "mknod $out/d b 8 0 && dd if=$out/d count=1", "bind mount": "mount --bind /etc $out",
		"remount": "mount -o remount,rw /; echo x > $V/new", "unshare": "unshare -m sh -c 'mount -o remount,rw /'; unshare -Ur id", "chroot": "chroot / sh -c 'echo x > '$V/new", "sysctl": "echo x > /proc/sys/kernel/hostname",
		"home": "echo x > /root/.strake-hostile", "tmp": "echo x > /tmp/strake-hostile", "shm": "echo x > /dev/shm/strake-hostile", "etc": "echo x > /etc/strake-hostile", "usr": "echo x > /usr/bin/strake-hostile",
	} {
		try("write by "+name, "V="+victim+"; "+how)
	}
	for name, how := range map[string]string{
		"env": "env", "set": "set", "proc": "cat /proc/self/environ /proc/*/environ", "parent": "tr '\\0' '\\n' < /proc/$PPID/environ",
	} {
		try("environment by "+name, how)
	}
	for name, how := range map[string]string{
		"parent": "kill -9 $PPID", "group": "kill -9 0", "all": "kill -9 -1", "init": "kill -9 1; kill -TERM 1", "stop": "kill -STOP $PPID",
	} {
		add("kill "+name, greets+how+" 2>/dev/null"+answers, "?")
	}
	for name, m := range map[string]string{
		"nothing": "", "no json": "hello", "array": "[]", "number": "1", "null": "null", "empty object": "{}", "two in one": `{"hello":{},"result":{}}`, "half": `{"hello":`, "binary": "\\001\\002\\377",
		"result first": `{"result":{}}`, "event first": `{"event":{"type":"log"}}`, "old version": `{"hello":{"protocol":"strake.dev/plugin/v0","name":"h","version":"v1","stages":["template"]}}`,
		"next version": `{"hello":{"protocol":"strake.dev/plugin/v2","name":"h","version":"v1","stages":["template"]}}`, "no name": `{"hello":{"protocol":"strake.dev/plugin/v1","version":"v1","stages":["template"]}}`,
		"other stage": `{"hello":{"protocol":"strake.dev/plugin/v1","name":"h","version":"v1","stages":["deploy"]}}`, "wrong type": `{"hello":{"protocol":1}}`,
	} {
		add("hello is "+name, "read -r _; printf '"+m+"\\n'; read -r _", "plugin ")
	}
	for name, m := range map[string]string{
		"second hello": hello, "unknown event": `{"event":{"type":"x"}}`, "task without state": `{"event":{"type":"task","task":{"id":"1","name":"x"}}}`, "odd change": `{"event":{"type":"change","change":{"op":"melt","kind":"a","name":"b"}}}`,
		"two results": `{"result":{"manifests":"manifests.yaml"}}`, "manifests elsewhere": `{"result":{"manifests":"/etc/passwd"}}`, "manifests above": `{"result":{"manifests":"../../secret"}}`, "manifests missing": `{"result":{"manifests":"none"}}`, "manifests a folder": `{"result":{"manifests":"."}}`, "error without text": `{"error":{}}`,
	} {
		add("then "+name, greets+"echo '"+m+"'"+answers, "plugin ")
	}
	add("manifests a link", greets+"rm $m; ln -s "+victim+"/secret $m"+answers, "plugin ")
	add("link swapped later", greets+"(while :; do ln -sf "+victim+"/secret $m; done) & sleep 0.05"+answers, "?")
	add("manifests a fifo", greets+"rm $m; mkfifo $m"+answers, "plugin ")
	add("text after its result", greets+answers+"echo more", "plugin ")
	add("message after its result", greets+answers+answers, "plugin ")
	add("fails after its result", greets+answers+"exit 3", "exit status 3")
	add("stays after its result", greets+answers+"exec >&- 2>&-; sleep 60", "plugin ")
	add("a line without end", greets+"yes | tr -d '\\n'", "plugin ")
	add("endless lines", greets+"yes", "plugin ")
	add("endless empty lines", greets+"yes ''", "maxOutput")
	add("endless events", greets+`yes '{"event":{"type":"log","message":"x"}}'`, "plugin ")
	add("endless errors", greets+"yes >&2", "maxOutput")
	add("endless file", greets+"yes > $out/f; sleep 60", "plugin ")
	add("endless files", greets+"i=0; while :; do i=$((i+1)); : > $out/$i; done", "plugin ")
	add("endless folders", greets+"cd $temp; while :; do mkdir d && cd d || exit 1; done", "plugin ")
	add("all memory", greets+"x=x; while :; do x=$x$x; done", "plugin ")
	add("fork bomb", greets+"b() { b | b & }; b; sleep 60", "plugin ")
	add("forks for ever", greets+"while :; do sleep 60 & done", "plugin ")
	add("ignores TERM", greets+"trap '' TERM INT HUP; while :; do sleep 1; done", "took longer than its timeout")
	add("sleeps", greets+"sleep 60", "took longer than its timeout")
	add("spins", greets+"while :; do :; done", "took longer than its timeout")
	add("never reads", "sleep 60", "took longer than its timeout")
	add("leaves a daemon", greets+"(setsid sleep 271828 >/dev/null 2>&1 &)"+answers, "")
	add("leaves a stubborn daemon", greets+"(trap '' TERM HUP; setsid sleep 271828 >/dev/null 2>&1 </dev/null &)"+answers, "")
	add("steers the terminal", greets+`printf '{"event":{"type":"log","message":"\\u001b[2J\\u001b]0;x\\u0007"}}\n'`+answers, "")
	for _, port := range []string{"22", "80", "6443"} {
		try("connects to "+port, "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\","+port+"))' && echo "+secret)
	}
	for _, path := range []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket"} {
		try("socket "+path, "perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0) and print \""+secret+"\"'; ls "+path)
	}
	for name, how := range map[string]string{
		"setuid": "cp /bin/true $out/x; chmod 4755 $out/x || perl -e 'open F, q(<), shift; chmod 04755, *F' $out/x", "fifo": "mkfifo $out/x", "link out": "ln -s " + victim + " $out/x", "link up": "ln -s ../../../.. $out/x", "link chain": "ln -s b $out/a; ln -s / $out/b",
	} {
		all = append(all, attack{name: "fetches " + name, script: greets + how + "; rm $m\necho '{\"result\":{}}'\n", want: "plugin ", fetch: true})
	}
	return all
}

// None of the attacks gets out of its areas, holds up the engine, or is blamed on anything but the plugin.
func TestHostile(t *testing.T) {
	victim := t.TempDir()
	file := filepath.Join(victim, "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	before := state(t, victim)
	t.Setenv("STRAKE_HOSTILE_SECRET", secret)
	all := attacks(victim)
	if len(all) < 100 {
		t.Fatalf("%d attacks", len(all))
	}
	t.Logf("%d attacks", len(all))
	t.Run("attacks", func(t *testing.T) {
		for _, a := range all {
			t.Run(a.name, func(t *testing.T) { t.Parallel(); a.run(t) })
		}
	})
	if after := state(t, victim); after != before {
		t.Errorf("the victim was changed:\n%s\n%s", before, after)
	}
	for _, f := range []string{"/root/.strake-hostile", "/tmp/strake-hostile", "/dev/shm/strake-hostile", "/etc/strake-hostile", "/usr/bin/strake-hostile"} {
		if _, err := os.Lstat(f); err == nil {
			t.Errorf("%s was written", f)
		}
	}
	left, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range left {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), "sleep\x00271828") {
			t.Errorf("%s is left", f)
		}
	}
}

// state tells what a folder and its files are.
func state(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		data, _ := os.ReadFile(path)
		fmt.Fprintln(&s, path, info.Mode(), info.Size(), string(data))
		if os.Getuid() == 0 { // times of one's own files aren't protected elsewhere
			fmt.Fprintln(&s, info.ModTime().UnixNano())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func (a *attack) run(t *testing.T) {
	path := script(t, a.script)
	stage := stages.Template
	if a.fetch {
		stage = stages.Fetch
	}
	job := stagetest.NewJob(t, stagetest.Case{Manifests: "a: 1\n"})
	job.Temp = t.TempDir()
	began := time.Now()
	result, err := stagetest.Bind(t, of(stage, path), "path: "+path+"\ntimeout: 8s\nmaxOutput: 2Mi\nmaxMemory: 64Mi\nmaxProcesses: 32").Run(t.Context(), job)
	// The time of all attacks together, on a machine with one slow processor.
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("took %v", took)
	}
	switch {
	case a.want == "?":
	case a.want == "" && err != nil:
		t.Errorf("expected it to go on without effect, found %v", err)
	case a.want != "" && (err == nil || !strings.Contains(err.Error(), a.want) || !strings.Contains(err.Error(), path)):
		t.Errorf("expected an error of %s with %q, found %v", path, a.want, err)
	}
	said := string(result.Manifests) + fmt.Sprint(err)
	for _, e := range stagetest.Recorded(job).Events() {
		said += e.Message + "\n"
	}
	if strings.Contains(said, secret) {
		t.Errorf("it has got the secret: %.300s", said)
	}
	if strings.Contains(said, "\x1b") {
		t.Error("it steers the terminal")
	}
	if left, _ := os.ReadDir(job.Temp); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
}
