package services

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

const (
	dialLimit    = 3 * time.Second
	acceptPause  = 10 * time.Millisecond
	dialAttempts = 3
)

// tcpServer passes the connections of one frontend on to its endpoints. A connection stays with its endpoint
// whatever becomes of the list, and of the Service: only the endpoint's end, or the client's, ends it.
type tcpServer struct {
	listener *net.TCPListener
	backends backends
	// places bounds the connections of all servers together.
	places  chan struct{}
	running *sync.WaitGroup
}

func newTCPServer(ctx context.Context, address string, places chan struct{}, running *sync.WaitGroup) (*tcpServer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
	if err != nil {
		return nil, err
	}
	server := &tcpServer{listener: listener.(*net.TCPListener), places: places, running: running}
	running.Add(1)
	go func() { defer running.Done(); server.accept(ctx) }()
	return server, nil
}

func (s *tcpServer) set(places []string) { s.backends.set(places) }

func (s *tcpServer) close() { _ = s.listener.Close() } // Closing twice is the only error, and harmless.

func (s *tcpServer) accept(ctx context.Context) {
	for {
		client, err := s.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Printf("accept at %s: %v", s.listener.Addr(), err)
			time.Sleep(acceptPause)
			continue
		}
		select {
		case s.places <- struct{}{}:
		default:
			reset(client)
			continue
		}
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			defer func() { <-s.places }()
			s.serve(ctx, client)
		}()
	}
}

func (s *tcpServer) serve(ctx context.Context, client *net.TCPConn) {
	server := s.dial(ctx)
	if server == nil {
		reset(client)
		return
	}
	// The end of the node ends its connections.
	stop := context.AfterFunc(ctx, func() { reset(client, server) })
	defer stop()
	answered := make(chan struct{})
	go func() { defer close(answered); forward(client, server) }()
	forward(server, client)
	<-answered
	_ = client.Close() // May be closed by a reset.
	_ = server.Close()
}

func (s *tcpServer) dial(ctx context.Context) *net.TCPConn {
	dialer := net.Dialer{Timeout: dialLimit}
	order := s.backends.order()
	for _, place := range order[:min(len(order), dialAttempts)] {
		if connection, err := dialer.DialContext(ctx, "tcp4", place); err == nil {
			return connection.(*net.TCPConn)
		}
	}
	return nil
}

// forward copies one direction to its end, and passes on how it ended: a half-close as such, everything else as a
// reset of both sides, so that nobody takes half of an answer for a whole one.
func forward(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		reset(to, from)
	}
}

func reset(connections ...*net.TCPConn) {
	for _, connection := range connections {
		_ = connection.SetLinger(0) // It may be closed already.
		_ = connection.Close()
	}
}
