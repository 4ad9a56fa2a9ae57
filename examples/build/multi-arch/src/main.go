// Command multi-arch says what it was compiled for.
package main

import "runtime"

func main() { println(runtime.GOOS + "/" + runtime.GOARCH) }
