// Web is the web server in the containers of the tests. It has no dependencies, so its image is one file.
//
//	web :8080 FILE   serves the file
//	web ask URL      fails unless a server answers there
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, file string) error {
	if address == "ask" {
		answer, err := http.Get(file)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	// A container keeps the file that it was started with.
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }))
}
