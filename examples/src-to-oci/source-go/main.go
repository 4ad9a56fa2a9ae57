// Command go-simpleapp is a web server that greets. HELLO_MSG says whom, PORT where it listens.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	whom := cmp.Or(os.Getenv("HELLO_MSG"), "stranger")
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Hello %s, from Go!\n", whom)
	})
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Addr: ":" + cmp.Or(os.Getenv("PORT"), "8080"), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("listening on %s", server.Addr)
	log.Fatal(server.ListenAndServe())
}
