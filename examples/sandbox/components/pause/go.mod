module strake.dev/strake/examples/sandbox/components/pause

go 1.26.8
