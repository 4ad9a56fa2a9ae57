package stages

// An Output is a value that a step yields for conditions and configuration of later steps of a Pipeline,
// where it is steps.STEP.outputs.NAME. What every step of a stage has is in [Outputs]; a plugin adds its own.
type Output struct {
	Name string
	// Doc is one sentence on what it is.
	Doc string
	// Example is a value as a run could yield it: a string, an int64, a bool, a []string or a
	// map[string]string. Its type is the output's, and references are tried with it before a run.
	Example any
}

// A Yielder is a step that yields outputs which its configuration declares, besides those of its plugin.
type Yielder interface {
	Outputs() []Output
}

// Outputs are those that the engine gives every step of a stage.
func Outputs(stage Stage) []Output {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	switch stage {
	case Fetch:
		return []Output{
			{Name: "digest", Doc: "The digest of the files that were fetched.", Example: digest},
			{Name: "revision", Doc: "The commit, digest or version that was fetched; empty for local files.", Example: "0000000000000000000000000000000000000000"},
		}
	case Template:
		return []Output{{Name: "digest", Doc: "The digest of the manifests.", Example: digest}}
	case Build:
		return []Output{
			{Name: "digest", Doc: "The digest of the manifests.", Example: digest},
			{Name: "images", Doc: "What each image of the manifests became: its reference with digest.", Example: map[string]string{"example": "registry.example.com/image@" + digest}},
			{Name: "digests", Doc: "The digest of each image of the manifests.", Example: map[string]string{"example": digest}},
			{Name: "built", Doc: "The images that were built.", Example: []string{"example"}},
		}
	case Deploy:
		return []Output{
			{Name: "created", Doc: "How many objects were created.", Example: int64(1)},
			{Name: "updated", Doc: "How many objects were updated.", Example: int64(1)},
			{Name: "deleted", Doc: "How many objects were deleted.", Example: int64(1)},
			{Name: "changed", Doc: "Whether any object was created, updated or deleted.", Example: true},
		}
	default:
		return nil
	}
}
