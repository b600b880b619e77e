package apitest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// NewInMemory is New for a bubble of testing/synctest: the connections are pipes, so that time goes on while they are silent.
func NewInMemory(tb testing.TB) *Server {
	tb.Helper()
	s := newServer()
	s.pipes = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	s.http = &httptest.Server{Listener: s.pipes, Config: &http.Server{Handler: s}} //nolint:gosec // who asks is in the same test
	s.http.Start()
	s.endWith(tb)
	return s
}

// pipes is a listener whose connections are made by its dial.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept waits for the next dial.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address that looks like one of the network.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
