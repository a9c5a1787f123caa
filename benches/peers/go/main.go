// Go's net: a goroutine a client, on one thread, as the others.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
)

func main() {
	runtime.GOMAXPROCS(1)
	readMax := 16 * 1024
	if len(os.Args) > 1 {
		readMax, _ = strconv.Atoi(os.Args[1])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("listening tcp://%s\n", listener.Addr())
	for {
		// It sends small writes at once unless it is told otherwise.
		client, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer client.Close()
			room := make([]byte, readMax)
			for {
				count, err := client.Read(room)
				if err != nil {
					return
				}
				if _, err := client.Write(room[:count]); err != nil {
					return
				}
			}
		}()
	}
}
