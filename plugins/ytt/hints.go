package ytt

// hints are advice for causes that ytt's own messages leave open, by a part of the message. The
// first one that fits is given.
var hints = []struct{ cause, advice string }{
	{
		"struct has no .", "a data value is used that no schema or data values file declares: " +
			"declare it in a document with “#@data/values-schema”",
	},
	{
		"Given data value is not declared in schema",
		"correct the name, or declare it in a document with “#@data/values-schema”",
	},
	{
		"to match at least one file by path", "file marks name files relative to the entry of paths that they come from, " +
			"and a file that is listed itself by its name alone",
	},
	{
		"Expected number of matched nodes to be 1, but was 0", "the overlay found nothing to change: " +
			"“#@overlay/match missing_ok=True” adds it, “#@overlay/match expects=\"0+\"” goes on without",
	},
	{
		"Expected ytt-formatted string", "in a template, a comment begins with “#!”; or set ignoreUnknownComments",
	},
	{
		"expected struct key", "YAML reads keys such as n, y, on and yes as booleans: put them in quotes",
	},
	{
		"for conversion to go value", "a function was used where a value is expected: call it, as in “f()”",
	},
	{
		"Malformed version: develop", "this strake was built without the versions of its libraries: build it with make",
	},
	{
		"Deserializing YAML value", "--set takes YAML: put text with special characters in quotes, as in --set 'key=\"a: b\"'",
	},
}
