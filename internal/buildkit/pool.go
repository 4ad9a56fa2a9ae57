package buildkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strake.dev/strake/stages"
)

// anywhere builds once with the daemon that the build prefers, or if that doesn't answer or goes away,
// with the next one. A build that fails is not tried elsewhere.
func (j *job) anywhere(ctx context.Context) (built, error) {
	var failed []error
	met := &j.client.met
	daemons := preferred(j.out.Daemons, j.out.Cache)
	for i, d := range daemons {
		if err := met.dead(d); err != nil {
			failed = append(failed, err)
			continue
		}
		b, err := j.at(ctx, d)
		lost, ok := errors.AsType[*goneError](err)
		if !ok || ctx.Err() != nil {
			return b, err
		}
		failed = append(failed, err)
		next := slices.IndexFunc(daemons[i+1:], func(d Daemon) bool { return met.dead(d) == nil })
		if !lost.known && next >= 0 {
			stages.Warn(j.events, fmt.Sprintf("%v; %s is built at %s instead", err, j.out.Name, daemons[i+1+next]))
		}
	}
	return built{}, noneLeft(j.out, failed)
}

// at builds once with one daemon. If that is gone, the error is a [goneError].
func (j *job) at(ctx context.Context, d Daemon) (built, error) {
	conn, err := j.client.meet(ctx, d)
	if err != nil {
		return built{}, err
	}
	defer conn.Close()
	b, err := j.run(ctx, conn)
	if errors.Is(err, errLost) && ctx.Err() == nil {
		err = gone(d, "went away during the build of "+j.out.Name, conn.why())
		j.client.met.bury(d, err)
	}
	return b, err
}

// noneLeft is the error of a build for which no daemon is left.
func noneLeft(out Output, failed []error) error {
	switch len(failed) {
	case 0:
		return fmt.Errorf("build of %s: there is no BuildKit daemon", out.Name)
	case 1:
		return failed[0]
	}
	lines := make([]string, len(failed))
	for i, err := range failed {
		lines[i] = "\n  " + err.Error()
	}
	err := fmt.Errorf("build of %s: none of its %d BuildKit daemons is left:%s", out.Name, len(failed), strings.Join(lines, ""))
	return stages.WithHint(err, "%s", stages.Hint(failed[0]))
}

// preferred sorts daemons by what the hash of each together with the key is (rendezvous hashing): a key
// keeps its daemon, and when one comes or goes only the keys that are, or were, its own move.
func preferred(daemons []Daemon, key string) []Daemon {
	weight := func(d Daemon) uint64 {
		sum := sha256.Sum256([]byte(d.Address + "\x00" + key))
		return binary.BigEndian.Uint64(sum[:])
	}
	return slices.SortedFunc(slices.Values(daemons), func(a, b Daemon) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), strings.Compare(a.Address, b.Address))
	})
}
