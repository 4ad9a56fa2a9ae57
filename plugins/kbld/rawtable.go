package kbld

// Why an option is refused, and what to do instead.
const (
	hintTag    = "the destination's tags do that: “destinations: [{image: …, newImage: …, tags: [NAME]}]”"
	hintFile   = "the lock file holds the digest; “strake build -o json” prints it"
	hintLimit  = "RUN steps have the BuildKit daemon's own limits; --ulimit and --shm-size are supported"
	hintDocker = "there is no local Docker: give a destination, or “buildkit: {output: {tar: FILE}}”"
	hintReport = "it would make a report instead of an image"
)

// rawOptions tells for every option of “docker build”, “docker buildx build” and “kubectl buildkit build”
// what becomes of it:
//
//   - One that says what is built, or how, sets what the key “buildkit” sets: --add-host, --allow,
//     --annotation, --attest, --build-arg, --build-context, --cache-from, --cache-to, --cgroup-parent, --file,
//     --label, --network, --no-cache, --no-cache-filter, --output, --platform, --provenance, --pull, --sbom,
//     --secret, --shm-size, --ssh, --target, --ulimit. Of outputs only type=oci sets something.
//   - One that says where the builder is, how it shows what it does, or how it cleans up after itself is
//     accepted, and means nothing: --as, --as-group, --builder, --cache-dir, --certificate-authority,
//     --client-certificate, --client-key, --cluster, --compress, --context, --debug, --disable-content-trust,
//     --force-rm, --insecure-skip-tls-verify, --kubeconfig, --namespace, --progress, --push, --quiet,
//     --request-timeout, --rm, --server, --tls-server-name, --token, --user.
//   - One whose effect would be missing is refused: --call, --check, --cpu-period, --cpu-quota, --cpu-shares,
//     --cpuset-cpus, --cpuset-mems, --frontend, --iidfile, --isolation, --load, --memory, --memory-swap,
//     --metadata-file, --policy, --print, --registry-secret, --resource, --security-opt, --squash, --stream, --tag.
//     Switches among them may be false.
var rawOptions = map[string]rawOption{
	"--add-host":        {set: eachOf((*request).addHost)},
	"--allow":           {set: eachOf((*request).addEntitlement)},
	"--annotation":      {set: rawAnnotation},
	"--attest":          {set: rawAttest},
	"--build-arg":       {set: rawArg},
	"--build-context":   {set: rawContext},
	"--cache-from":      {set: rawCacheFrom},
	"--cache-to":        {set: rawCacheTo},
	"--cgroup-parent":   {set: (*request).setCgroupParent},
	"--file":            {set: (*request).setDockerfile},
	"--label":           {set: rawLabel},
	"--network":         {set: (*request).setNetwork},
	"--no-cache":        {isSwitch: true, set: func(r *request, on string) error { r.options.NoCache = on == "true"; return nil }},
	"--no-cache-filter": {set: eachOf((*request).addNoCacheFilter)},
	"--output":          {set: rawOutput},
	"--platform":        {set: (*request).addPlatforms},
	"--provenance":      {set: rawAttestOf("provenance")},
	"--pull":            {isSwitch: true, set: func(r *request, on string) error { r.options.Pull = on == "true"; return nil }},
	"--sbom":            {set: rawAttestOf("sbom")},
	"--secret":          {set: rawSecret},
	"--shm-size":        {set: (*request).setShmSize},
	"--ssh":             {set: rawSSH},
	"--target":          {set: func(r *request, name string) error { r.options.Target = name; return nil }},
	"--ulimit":          {set: (*request).addUlimit},

	"--as":                       {},
	"--as-group":                 {},
	"--builder":                  {},
	"--cache-dir":                {},
	"--certificate-authority":    {},
	"--client-certificate":       {},
	"--client-key":               {},
	"--cluster":                  {},
	"--compress":                 {isSwitch: true},
	"--context":                  {},
	"--debug":                    {isSwitch: true},
	"--disable-content-trust":    {isSwitch: true},
	"--force-rm":                 {isSwitch: true},
	"--insecure-skip-tls-verify": {isSwitch: true},
	"--kubeconfig":               {},
	"--namespace":                {},
	"--progress":                 {},
	"--push":                     {isSwitch: true},
	"--quiet":                    {isSwitch: true},
	"--request-timeout":          {},
	"--rm":                       {isSwitch: true},
	"--server":                   {},
	"--tls-server-name":          {},
	"--token":                    {},
	"--user":                     {},

	"--call":            {hint: hintReport},
	"--check":           {isSwitch: true, hint: hintReport},
	"--cpu-period":      {hint: hintLimit},
	"--cpu-quota":       {hint: hintLimit},
	"--cpu-shares":      {hint: hintLimit},
	"--cpuset-cpus":     {hint: hintLimit},
	"--cpuset-mems":     {hint: hintLimit},
	"--frontend":        {hint: "name the frontend in the Dockerfile: “# syntax=IMAGE”"},
	"--iidfile":         {hint: hintFile},
	"--isolation":       {hint: "BuildKit's worker decides how RUN steps are isolated"},
	"--load":            {isSwitch: true, hint: hintDocker},
	"--memory":          {hint: hintLimit},
	"--memory-swap":     {hint: hintLimit},
	"--metadata-file":   {hint: hintFile},
	"--policy":          {hint: "the lock file pins what a build may use"},
	"--print":           {hint: hintReport},
	"--registry-secret": {hint: "name the Secret in “kbld: {secretRefs: [{name: …}]}”"},
	"--resource":        {hint: hintLimit},
	"--security-opt":    {hint: "use “RUN --security=insecure” and “--allow=security.insecure”"},
	"--squash":          {isSwitch: true, hint: "copy what is wanted into a last stage of the Dockerfile"},
	"--stream":          {isSwitch: true, hint: "it needs Docker's old builder"},
	"--tag":             {hint: hintTag},
}

// shortOptions are the options with one letter.
var shortOptions = map[string]string{
	"-D": "--debug", "-c": "--cpu-shares", "-f": "--file", "-m": "--memory", "-n": "--namespace", "-o": "--output",
	"-q": "--quiet", "-s": "--server", "-t": "--tag",
}
