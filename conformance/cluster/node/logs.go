package node

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"sekisho.dev/conformance/cluster/layout"
)

const (
	longestLine  = 1 << 20
	followPeriod = 100 * time.Millisecond
)

// logWriter writes each line of a container with the time at which it came, as container runtimes do.
type logWriter struct {
	lock sync.Mutex
	file *os.File
	rest []byte
}

func openLog(path string) (*logWriter, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &logWriter{file: file}, err
}

func (w *logWriter) Write(data []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.rest = append(w.rest, data...)
	stamp := time.Now().UTC().Format(time.RFC3339Nano)
	for {
		line, rest, found := strings.Cut(string(w.rest), "\n")
		if !found && len(w.rest) < longestLine {
			return len(data), nil
		}
		if _, err := fmt.Fprintf(w.file, "%s %s\n", stamp, line); err != nil {
			return 0, err
		}
		w.rest = []byte(rest)
	}
}

func (w *logWriter) Close() error { return w.file.Close() }

type logQuery struct {
	since      time.Time
	tail       int
	timestamps bool
	follow     bool
}

func parseLogQuery(request *http.Request) (logQuery, error) {
	values := request.URL.Query()
	query := logQuery{tail: -1, timestamps: values.Get("timestamps") == "true", follow: values.Get("follow") == "true"}
	var err error
	if text := values.Get("sinceTime"); text != "" {
		if query.since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return query, err
		}
	}
	if text := values.Get("sinceSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			return query, err
		}
		query.since = time.Now().Add(-time.Duration(seconds) * time.Second)
	}
	if text := values.Get("tailLines"); text != "" {
		if query.tail, err = strconv.Atoi(text); err != nil {
			return query, err
		}
	}
	return query, nil
}

// serveLogs answers GET /containerLogs/{namespace}/{pod}/{container}, the kubelet's path, to the API server.
func (n *Node) serveLogs(answer http.ResponseWriter, request *http.Request) {
	query, err := parseLogQuery(request)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	path := n.files.PodLogs(request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container")+".log")
	file, err := os.Open(path)
	if err != nil {
		http.Error(answer, "this container has no log", http.StatusNotFound)
		return
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 64<<10)
	lines, partial := readLines(reader, "", query)
	if query.tail >= 0 && len(lines) > query.tail {
		lines = lines[len(lines)-query.tail:]
	}
	for {
		if _, err := io.WriteString(answer, strings.Join(lines, "")); err != nil || !query.follow {
			return
		}
		answer.(http.Flusher).Flush()
		select {
		case <-request.Context().Done():
			return
		case <-time.After(followPeriod):
		}
		lines, partial = readLines(reader, partial, query)
	}
}

// readLines reads what is there now; a line that is not complete yet is given back for the next call.
func readLines(reader *bufio.Reader, partial string, query logQuery) (lines []string, rest string) {
	for {
		text, err := reader.ReadString('\n')
		partial += text
		if err != nil {
			return lines, partial
		}
		stamp, message, _ := strings.Cut(partial, " ")
		moment, err := time.Parse(time.RFC3339Nano, stamp)
		if err == nil && !moment.Before(query.since) {
			if query.timestamps {
				message = partial
			}
			lines = append(lines, message)
		}
		partial = ""
	}
}

func (n *Node) logServer() (*http.Server, error) {
	authority, err := os.ReadFile(n.files.Certificate("ca"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	paths := http.NewServeMux()
	paths.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLogs)
	return &http.Server{
		Addr:              fmt.Sprintf("%s:%d", layout.BridgeAddress, layout.KubeletPort),
		Handler:           paths,
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12},
		ErrorLog:          log.Default(),
	}, nil
}
