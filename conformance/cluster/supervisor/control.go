package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"sekisho.dev/conformance/cluster/layout"
)

const orderLimit = readyLimit + time.Minute

// listen takes orders about single parts while the command runs: tests of faults stop the API server under a gateway.
func (c *cluster) listen(ctx context.Context) error {
	listener, err := net.Listen("unix", c.options.Files.ControlSocket())
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go c.answer(ctx, connection)
		}
	}()
	return nil
}

func (c *cluster) answer(ctx context.Context, connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(orderLimit)) // Only a closed connection refuses one.
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return
	}
	answer := "done"
	if err := c.obey(ctx, strings.Fields(line)); err != nil {
		answer = err.Error()
	}
	_, _ = fmt.Fprintln(connection, answer) // Whoever asked may have gone.
}

func (c *cluster) obey(ctx context.Context, words []string) error {
	if len(words) != 2 {
		return errors.New("an order is stop, kill or start, and the name of a part")
	}
	verb, part := words[0], words[1]
	running := c.find(part)
	switch {
	case verb == "start" && running != nil:
		return fmt.Errorf("%s is running already", part)
	case verb == "start":
		return c.restart(ctx, part)
	case running == nil:
		return fmt.Errorf("%s is not running", part)
	case verb == "stop":
		c.end(running, syscall.SIGTERM)
	case verb == "kill":
		c.end(running, syscall.SIGKILL)
	default:
		return fmt.Errorf("there is no order %q: stop, kill or start", verb)
	}
	c.say("%s: %s has ended", verb, part)
	return nil
}

func (c *cluster) restart(ctx context.Context, part string) error {
	if !slices.Contains(order, part) || part == "dns" && c.options.DNS == "" {
		return fmt.Errorf("there is no part %q", part)
	}
	if err := c.launch(part); err != nil {
		return err
	}
	if part == "apiserver" {
		if err := c.waitReady(ctx, nil); err != nil {
			return err
		}
	}
	c.say("start: %s is there", part)
	return nil
}

// Order tells a running cluster to stop, kill or start one of its parts, and returns when that has happened.
func Order(files layout.Files, words []string) error {
	connection, err := net.Dial("unix", files.ControlSocket())
	if err != nil {
		return fmt.Errorf("no cluster runs in %s: %w", files, err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(orderLimit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(connection, strings.Join(words, " ")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the cluster did not answer: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != "done" {
		return errors.New(answer)
	}
	return nil
}
