package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe runs the readiness and liveness probes of a container until the context ends. Pods are reached at their
// address over the bridge, as from a kubelet.
func (r *podRunner) probe(ctx context.Context, wanted *corev1.Container, running *process) {
	if wanted.StartupProbe != nil {
		r.watchProbe(ctx, wanted, wanted.StartupProbe, func(good bool) bool {
			if !good {
				log.Printf("pod %s: container %s did not start up in time", r.name(), wanted.Name)
				running.signal(syscall.SIGTERM)
				return false
			}
			r.record(ctx, wanted.Name, func(state *containerState) {
				state.startedUp = true
				state.ready = wanted.ReadinessProbe == nil
			})
			return false
		})
	}
	if wanted.LivenessProbe != nil {
		go r.watchProbe(ctx, wanted, wanted.LivenessProbe, func(good bool) bool {
			if !good {
				log.Printf("pod %s: container %s is no longer alive", r.name(), wanted.Name)
				running.signal(syscall.SIGTERM)
			}
			return good
		})
	}
	if wanted.ReadinessProbe != nil {
		r.watchProbe(ctx, wanted, wanted.ReadinessProbe, func(good bool) bool {
			r.record(ctx, wanted.Name, func(state *containerState) { state.ready = good })
			return true
		})
	}
}

// watchProbe tells of each verdict that the thresholds allow, until it is told to stop.
func (r *podRunner) watchProbe(ctx context.Context, wanted *corev1.Container, probe *corev1.Probe, verdict func(good bool) bool) {
	sleep(ctx, time.Duration(probe.InitialDelaySeconds)*time.Second)
	good, bad := int32(0), int32(0)
	// Until the first success the probe runs more often than asked, so that nobody waits for a whole period.
	period := 200 * time.Millisecond
	attempts := time.Now()
	for ctx.Err() == nil {
		if err := r.probeOnce(ctx, wanted, probe); err == nil {
			good, bad, period = good+1, 0, seconds(probe.PeriodSeconds, 10)
			if good >= max(probe.SuccessThreshold, 1) && !verdict(true) {
				return
			}
		} else if good > 0 || time.Since(attempts) > seconds(probe.PeriodSeconds, 10) {
			good, bad, attempts = 0, bad+1, time.Now()
			if bad >= max(probe.FailureThreshold, 1) && !verdict(false) {
				return
			}
		}
		sleep(ctx, period)
	}
}

func seconds(value, otherwise int32) time.Duration {
	if value <= 0 {
		value = otherwise
	}
	return time.Duration(value) * time.Second
}

func (r *podRunner) probeOnce(outer context.Context, wanted *corev1.Container, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(outer, seconds(probe.TimeoutSeconds, 1))
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return r.probeHTTP(ctx, wanted, probe.HTTPGet)
	case probe.TCPSocket != nil:
		address := net.JoinHostPort(r.attachment.Address, port(wanted, probe.TCPSocket.Port))
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	return fmt.Errorf("only httpGet and tcpSocket probes are run by this stand-in")
}

func (r *podRunner) probeHTTP(ctx context.Context, wanted *corev1.Container, get *corev1.HTTPGetAction) error {
	scheme, host := "http", r.attachment.Address
	if get.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	if get.Host != "" {
		host = get.Host
	}
	target := fmt.Sprintf("%s://%s%s", scheme, net.JoinHostPort(host, port(wanted, get.Port)), get.Path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	for _, header := range get.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	// A kubelet does not verify the certificate of what it probes either.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

func port(wanted *corev1.Container, value intstr.IntOrString) string {
	if value.Type == intstr.Int {
		return strconv.Itoa(value.IntValue())
	}
	for _, candidate := range wanted.Ports {
		if candidate.Name == value.StrVal {
			return strconv.Itoa(int(candidate.ContainerPort))
		}
	}
	return value.StrVal
}
