package services

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

type fixture struct {
	stop    context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup
}

// settled checks at the end that nothing runs any longer.
func settled(t *testing.T) *fixture {
	before := runtime.NumGoroutine()
	own := &fixture{}
	own.ctx, own.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		own.stop()
		own.running.Wait()
		for limit := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(limit); {
			time.Sleep(10 * time.Millisecond)
		}
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines more than before", after-before)
		}
	})
	return own
}

func tcpBackend(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			go serve(connection)
		}
	}()
	return listener.Addr().String()
}

func startTCP(t *testing.T, own *fixture, places int, backends ...string) *tcpServer {
	t.Helper()
	server, err := newTCPServer(own.ctx, "127.0.0.1:0", make(chan struct{}, places), &own.running)
	if err != nil {
		t.Fatal(err)
	}
	server.set(backends)
	t.Cleanup(server.close)
	return server
}

func dial(t *testing.T, server *tcpServer) *net.TCPConn {
	t.Helper()
	connection, err := net.Dial("tcp4", server.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	return connection.(*net.TCPConn)
}

func TestAHalfCloseIsPassedOn(t *testing.T) {
	own := settled(t)
	server := startTCP(t, own, 8, tcpBackend(t, func(connection *net.TCPConn) {
		heard, _ := io.ReadAll(connection)
		_, _ = connection.Write(append([]byte("heard "), heard...))
		_ = connection.Close()
	}))
	client := dial(t, server)
	_, _ = client.Write([]byte("question"))
	_ = client.CloseWrite()
	if answer, err := io.ReadAll(client); err != nil || string(answer) != "heard question" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestAConnectionOutlivesItsPlaceInTheList(t *testing.T) {
	own := settled(t)
	echo := tcpBackend(t, func(connection *net.TCPConn) { _, _ = io.Copy(connection, connection); _ = connection.Close() })
	server := startTCP(t, own, 8, echo)
	client := dial(t, server)
	for _, word := range []string{"before", "after!"} {
		_, _ = client.Write([]byte(word))
		heard := make([]byte, len(word))
		if _, err := io.ReadFull(client, heard); err != nil || string(heard) != word {
			t.Fatalf("%q, %v", heard, err)
		}
		server.set(nil)
	}
	_ = client.CloseWrite()
	if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestClientsAreResetWithoutABackendAndBeyondTheBound(t *testing.T) {
	own := settled(t)
	reads := func(connection *net.TCPConn) { _, _ = io.ReadAll(connection); _ = connection.Close() }
	for name, server := range map[string]*tcpServer{
		"no backend":   startTCP(t, own, 8),
		"no place":     startTCP(t, own, 0, tcpBackend(t, reads)),
		"dead backend": startTCP(t, own, 8, "127.0.0.1:1"),
	} {
		// The reset may come while the client still connects.
		client, err := net.Dial("tcp4", server.listener.Addr().String())
		if err == nil {
			_ = client.SetDeadline(time.Now().Add(5 * time.Second))
			_, err = client.Read(make([]byte, 1))
			_ = client.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBackendsTakeTurnsAndADeadOneIsPassedOver(t *testing.T) {
	own := settled(t)
	named := func(name string) string {
		return tcpBackend(t, func(connection *net.TCPConn) { _, _ = connection.Write([]byte(name)); _ = connection.Close() })
	}
	server := startTCP(t, own, 9, named("a"), named("b"), "127.0.0.1:1")
	seen := map[string]int{}
	for range 9 {
		answer, err := io.ReadAll(dial(t, server))
		if err != nil {
			t.Fatal(err)
		}
		seen[string(answer)]++
	}
	if seen["a"] < 3 || seen["b"] < 3 || seen["a"]+seen["b"] != 9 {
		t.Errorf("%v", seen)
	}
}

func TestDatagramsOfOnePortStayWithOneBackend(t *testing.T) {
	own := settled(t)
	var places []string
	for range 2 {
		backend, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = backend.Close() })
		places = append(places, backend.LocalAddr().String())
		go func() {
			buffer := make([]byte, 64)
			for {
				_, from, err := backend.ReadFromUDPAddrPort(buffer)
				if err != nil {
					return
				}
				_, _ = backend.WriteToUDPAddrPort([]byte(backend.LocalAddr().String()), from)
			}
		}()
	}
	server, err := newUDPServer(own.ctx, "127.0.0.1:0", &own.running)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.close)
	server.set(places)
	ask := func(client net.Conn) string {
		_ = client.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = client.Write([]byte("who"))
		buffer := make([]byte, 64)
		length, err := client.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:length])
	}
	var firsts []string
	for range 2 {
		client, err := net.Dial("udp4", server.socket.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		first := ask(client)
		if again := ask(client); again != first {
			t.Errorf("a session moved from %s to %s", first, again)
		}
		firsts = append(firsts, first)
	}
	if firsts[0] == firsts[1] {
		t.Errorf("both sessions are at %s", firsts[0])
	}
	server.set(nil)
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		server.lock.Lock()
		left := len(server.sessions)
		server.lock.Unlock()
		if left == 0 {
			return
		}
	}
	t.Error("sessions are left without a backend")
}
