package services

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	sessionIdle     = 30 * time.Second
	sessionsAtMost  = 1024
	longestDatagram = 64 << 10
)

// udpServer passes the datagrams of one frontend on to its endpoints. What comes from one client's port is a session
// and stays with its endpoint, until nothing has come for a while or the endpoint is no longer one.
type udpServer struct {
	socket   *net.UDPConn
	backends backends
	running  *sync.WaitGroup

	lock     sync.Mutex
	sessions map[netip.AddrPort]*session
}

type session struct {
	place    string
	upstream *net.UDPConn
}

func newUDPServer(ctx context.Context, address string, running *sync.WaitGroup) (*udpServer, error) {
	socket, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp4", address)
	if err != nil {
		return nil, err
	}
	server := &udpServer{socket: socket.(*net.UDPConn), running: running, sessions: map[netip.AddrPort]*session{}}
	running.Add(1)
	go func() { defer running.Done(); server.receive() }()
	return server, nil
}

func (s *udpServer) set(places []string) {
	s.backends.set(places)
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, known := range s.sessions {
		if !s.backends.has(known.place) {
			_ = known.upstream.Close() // Its reader takes it out of the list.
		}
	}
}

func (s *udpServer) close() {
	_ = s.socket.Close()
	s.set(nil)
}

func (s *udpServer) receive() {
	buffer := make([]byte, longestDatagram)
	for {
		length, client, err := s.socket.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // An earlier answer that could not be delivered.
		}
		if found := s.session(client); found != nil {
			_ = found.upstream.SetReadDeadline(time.Now().Add(sessionIdle))
			_, _ = found.upstream.Write(buffer[:length]) // A datagram may be lost.
		}
	}
}

func (s *udpServer) session(client netip.AddrPort) *session {
	s.lock.Lock()
	defer s.lock.Unlock()
	if known := s.sessions[client]; known != nil {
		return known
	}
	order := s.backends.order()
	if len(order) == 0 || len(s.sessions) >= sessionsAtMost {
		return nil
	}
	connection, err := net.Dial("udp4", order[0])
	if err != nil {
		return nil
	}
	made := &session{place: order[0], upstream: connection.(*net.UDPConn)}
	s.sessions[client] = made
	s.running.Add(1)
	go func() { defer s.running.Done(); s.answer(client, made) }()
	return made
}

func (s *udpServer) answer(client netip.AddrPort, from *session) {
	_ = from.upstream.SetReadDeadline(time.Now().Add(sessionIdle))
	buffer := make([]byte, longestDatagram)
	for {
		length, err := from.upstream.Read(buffer)
		if err != nil {
			break // Idle, refused, or closed: the next datagram begins a session of its own.
		}
		_ = from.upstream.SetReadDeadline(time.Now().Add(sessionIdle))
		_, _ = s.socket.WriteToUDPAddrPort(buffer[:length], client)
	}
	_ = from.upstream.Close()
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.sessions, client)
}
