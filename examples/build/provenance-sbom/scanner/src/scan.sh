# BuildKit says what to scan, and where the result goes.
set -eu
cd "$BUILDKIT_SCAN_SOURCE"
files=$(find . -type f | sort | sed 's|^\.\(.*\)|{"SPDXID":"SPDXRef-File","fileName":"\1"}|' | tr '\n' , | sed 's/,$//')
cat > "$BUILDKIT_SCAN_DESTINATION/files.spdx.json" <<END
{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document",
"predicate":{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"files","files":[$files]}}
END
