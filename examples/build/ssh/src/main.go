// Command ssh counts the keys that an SSH agent has.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		log.Fatal(err)
	}
	// A message is its length, its type, and the rest: 11 asks for the identities, which 12 tells.
	if _, err := conn.Write([]byte{0, 0, 0, 1, 11}); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 9)
	if _, err := io.ReadFull(conn, answer); err != nil {
		log.Fatal(err)
	}
	if answer[4] != 12 {
		log.Fatalf("the agent answers with a message of type %d", answer[4])
	}
	fmt.Printf("%d keys\n", binary.BigEndian.Uint32(answer[5:]))
}
