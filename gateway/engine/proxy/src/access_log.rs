//! The access log: one JSON line a request, last of all, exactly once.
//!
//! Keys follow Istio's JSON access log; `response_code_details` is a stable [`Reason`] code. A line
//! is formatted on the worker from borrowed values into one buffer, and a thread of its own writes
//! whole buffers, so that a slow disk or a full pipe never holds up traffic: what cannot be queued
//! is dropped and counted.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use http::{Method, Version};
use serde::Serialize;

use crate::authorization::Told;
use crate::reason::Reason;
use crate::timestamp::{TimestampText, WallClock};

/// Buffers waiting for the writer; at 128 KiB each, 16 MiB at the most.
const QUEUED_BUFFERS: usize = 128;
/// A worker's buffer is handed over at this size, or after a moment. Each time wakes the writer.
pub const FLUSH_BYTES: usize = 128 * 1024;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    None,
    Stdout,
    File(String),
}

impl Sink {
    pub fn parse(text: &str) -> Sink {
        match text {
            "" | "none" => Sink::None,
            "stdout" => Sink::Stdout,
            path => Sink::File(path.to_owned()),
        }
    }
}

/// Handle on the writer thread; cloned into each worker.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: Option<SyncSender<Vec<u8>>>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// The receiver ends when the last line has been written, after the last handle is gone.
    pub fn open(sink: &Sink) -> Result<(AccessLog, Receiver<()>), String> {
        let target: Box<dyn Write + Send> = match sink {
            Sink::None => return Ok((AccessLog { queue: None, dropped: Arc::default() }, channel().1)),
            Sink::Stdout => Box::new(io::stdout()),
            Sink::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                Box::new(file.map_err(|e| format!("access log {path}: {e}; check the folder and its permissions"))?)
            }
        };
        Self::to(target, "access-log")
    }

    /// To whatever takes whole lines, from a thread of this name.
    pub fn to(target: Box<dyn Write + Send>, name: &str) -> Result<(AccessLog, Receiver<()>), String> {
        let (writing, written) = channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let (queue, buffers) = sync_channel(QUEUED_BUFFERS);
        let lost = dropped.clone();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                write_all(target, &buffers, &lost);
                drop(writing);
            })
            .map_err(|e| format!("{name}: cannot start its thread: {e}"))?;
        Ok((AccessLog { queue: Some(queue), dropped }, written))
    }

    /// This handle takes no more lines.
    pub fn end(&mut self) {
        self.queue = None;
    }

    pub fn enabled(&self) -> bool {
        self.queue.is_some()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Hands a buffer of whole lines to the writer, or drops it when the writer is far behind.
    pub fn submit(&self, buffer: &mut Vec<u8>) {
        let Some(queue) = &self.queue else {
            buffer.clear();
            return;
        };
        if buffer.is_empty() {
            return;
        }
        let full = std::mem::replace(buffer, Vec::with_capacity(FLUSH_BYTES + 1024));
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = queue.try_send(full) {
            count_lines(&lost, &self.dropped);
        }
    }
}

fn count_lines(buffer: &[u8], dropped: &AtomicU64) {
    let lines = buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
    dropped.fetch_add(lines, Ordering::Relaxed);
}

fn write_all(mut target: Box<dyn Write + Send>, buffers: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    while let Ok(buffer) = buffers.recv() {
        // A sink that fails (disk full, closed pipe) loses lines but must not end the thread.
        if target.write_all(&buffer).and_then(|()| target.flush()).is_err() {
            count_lines(&buffer, dropped);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Lines that wait to be handed over, and what writing them needs.
#[derive(Debug)]
pub struct LogText {
    pub lines: Vec<u8>,
    pub clock: WallClock,
    pub timestamps: TimestampText,
}

impl Default for LogText {
    fn default() -> Self {
        let lines = Vec::with_capacity(FLUSH_BYTES + 1024);
        Self { lines, clock: WallClock::default(), timestamps: TimestampText::default() }
    }
}

impl LogText {
    /// Appends a line of JSON, which is made from the moment that it is about as text.
    pub fn write_json<L: Serialize>(&mut self, moment: Instant, line: impl FnOnce(String) -> L) {
        let mut text = Vec::with_capacity(24);
        self.timestamps.write(self.clock.since_epoch(moment), &mut text);
        let line = line(String::from_utf8_lossy(&text).into_owned());
        // Neither a Vec nor the fields of a line can fail to be written.
        let _ = serde_json::to_writer(&mut self.lines, &line);
        self.lines.push(b'\n');
    }
}

/// What one line says. Absent values are written as `null`.
#[derive(Debug)]
pub struct Line<'a> {
    pub started: Instant,
    pub duration: Duration,
    pub method: &'a Method,
    pub path: &'a [u8],
    pub version: Version,
    pub authority: &'a [u8],
    pub status: u16,
    pub reason: Reason,
    pub authorization: Option<&'a Told>,
    pub grpc_status: Option<u16>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub upstream_duration: Option<Duration>,
    pub retries: u32,
    pub user_agent: Option<&'a [u8]>,
    pub forwarded_for: Option<&'a [u8]>,
    pub request_id: &'a [u8],
    /// `forwarded_for` and `request_id` may hold what another hop said.
    pub trusts_hops: bool,
    pub trace_id: &'a str,
    pub remote: &'a str,
    /// From [`connection_fields`].
    pub connection: &'a [u8],
    pub place: PlaceFields<'a>,
    pub upstream_host: &'a str,
    pub upstream_failure: &'a str,
}

impl Line<'_> {
    // Every key is written together with what surrounds it: one copy of known length each.
    pub fn write(&self, text: &mut LogText) {
        let LogText { lines: out, clock, timestamps } = text;
        out.extend_from_slice(b"{\"start_time\":\"");
        timestamps.write(clock.since_epoch(self.started), out);
        out.extend_from_slice(b"\",\"method\":\"");
        // Methods are tokens and authorities are checked names: neither holds anything to escape.
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.extend_from_slice(b"\",\"path\":\"");
        escape(self.path, out);
        out.extend_from_slice(b"\",\"protocol\":\"");
        out.extend_from_slice(protocol(self.version).as_bytes());
        out.extend_from_slice(b"\",\"authority\":\"");
        out.extend_from_slice(self.authority);
        out.extend_from_slice(b"\",\"response_code\":");
        number(self.status.into(), out);
        out.extend_from_slice(b",\"response_flags\":\"");
        out.extend_from_slice(self.reason.flags().as_bytes());
        out.extend_from_slice(b"\",\"response_code_details\":\"");
        out.extend_from_slice(self.reason.code().as_bytes());
        if let Some(told) = self.authorization {
            authorization(told, out);
        }
        out.extend_from_slice(b"\",\"grpc_status\":");
        optional_number(self.grpc_status.map(u64::from), out);
        out.extend_from_slice(b",\"bytes_received\":");
        number(self.bytes_received, out);
        out.extend_from_slice(b",\"bytes_sent\":");
        number(self.bytes_sent, out);
        out.extend_from_slice(b",\"duration\":");
        number(self.duration.as_millis() as u64, out);
        out.extend_from_slice(b",\"duration_us\":");
        number(self.duration.as_micros() as u64, out);
        out.extend_from_slice(b",\"upstream_service_time\":");
        optional_number(self.upstream_duration.map(|d| d.as_millis() as u64), out);
        out.extend_from_slice(b",\"retries\":");
        number(self.retries.into(), out);
        out.extend_from_slice(b",\"user_agent\":");
        optional_text(self.user_agent, out);
        out.extend_from_slice(b",\"x_forwarded_for\":");
        self.edge_text(self.forwarded_for, out);
        out.extend_from_slice(b",\"request_id\":");
        self.edge_text(Some(self.request_id), out);
        out.extend_from_slice(b",\"trace_id\":\"");
        out.extend_from_slice(self.trace_id.as_bytes());
        out.extend_from_slice(b"\",\"downstream_remote_address\":\"");
        out.extend_from_slice(self.remote.as_bytes());
        out.extend_from_slice(self.connection);
        out.extend_from_slice(self.place.listener);
        out.extend_from_slice(self.place.route);
        out.extend_from_slice(self.place.backend);
        out.extend_from_slice(b",\"upstream_host\":");
        named(self.upstream_host, out);
        out.extend_from_slice(b",\"upstream_transport_failure_reason\":");
        named(self.upstream_failure, out);
        out.extend_from_slice(b"}\n");
    }

    /// A value that is the gateway's own, unless it was told one by a hop that it trusts.
    fn edge_text(&self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        if self.trusts_hops { optional_text(value, out) } else { optional_known(value, out) }
    }
}

/// Which policy and rule denied, after the code they explain; then what policies say that do not decide.
fn authorization(told: &Told, out: &mut Vec<u8>) {
    if let Some(denied) = &told.denied {
        out.push(b'[');
        escape(denied.as_bytes(), out);
        out.push(b']');
    }
    for (key, text) in [("authorization_dry_run", &told.dry_run), ("authorization_audit", &told.audited)] {
        if let Some(text) = text {
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":\"");
            escape(text.as_bytes(), out);
        }
    }
}

/// What every line of a connection says after the remote address, whose string it ends. `peer`: who its client has proved
/// to be.
pub fn connection_fields(local: &str, peer: Option<&str>, server_name: Option<&str>) -> Box<[u8]> {
    let mut out = Vec::new();
    out.extend_from_slice(b"\",\"downstream_local_address\":\"");
    out.extend_from_slice(local.as_bytes());
    if let Some(peer) = peer {
        out.extend_from_slice(b"\",\"downstream_peer\":\"");
        escape(peer.as_bytes(), &mut out);
    }
    out.extend_from_slice(b"\",\"requested_server_name\":");
    optional_text(server_name.map(str::as_bytes), &mut out);
    out.into()
}

/// Where a request went, in the parts that requests share: each is written once.
#[derive(Clone, Copy, Debug)]
pub struct PlaceFields<'a> {
    /// From [`listener_fields`].
    pub listener: &'a [u8],
    /// From [`route_fields`].
    pub route: &'a [u8],
    /// From [`backend_fields`].
    pub backend: &'a [u8],
}

// Empty names are absent.
pub fn listener_fields(gateway: &str, listener: &str) -> Box<[u8]> {
    let mut out = b",\"gateway\":".to_vec();
    named(gateway, &mut out);
    out.extend_from_slice(b",\"listener\":");
    named(listener, &mut out);
    out.into()
}

pub fn route_fields(route: &str, rule: &str) -> Box<[u8]> {
    let mut out = b",\"route_name\":".to_vec();
    named(route, &mut out);
    out.extend_from_slice(b",\"rule_name\":");
    named(rule, &mut out);
    out.into()
}

pub fn backend_fields(backend: &str) -> Box<[u8]> {
    let mut out = b",\"upstream_cluster\":".to_vec();
    named(backend, &mut out);
    out.into()
}

pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn number(value: u64, out: &mut Vec<u8>) {
    if value < 10 {
        return out.push(b'0' + value as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn optional_number(value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => number(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn optional_text(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(b'"');
            escape(value, out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// A value that holds nothing to escape.
fn optional_known(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(b'"');
            out.extend_from_slice(value);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

fn named(value: &str, out: &mut Vec<u8>) {
    optional_text((!value.is_empty()).then_some(value.as_bytes()), out);
}

/// JSON string escaping; bytes that are not UTF-8 become U+FFFD, so a line is always valid JSON.
#[inline]
fn escape(value: &[u8], out: &mut Vec<u8>) {
    // Without early exit, so that many bytes are looked at in one step.
    let special = |byte: u8| !(0x20..=0x7e).contains(&byte) | (byte == b'"') | (byte == b'\\');
    if value.iter().fold(false, |found, byte| found | special(*byte)) {
        return escape_special(value, out);
    }
    out.extend_from_slice(value);
}

#[cold]
fn escape_special(value: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;

    #[test]
    fn hostile_values_stay_inside_their_json_string() {
        let mut out = Vec::new();
        escape(b"a\"b\\c\n\x7f\xff\xc3\xa9", &mut out);
        let line = format!("\"{}\"", String::from_utf8(out).expect("utf-8"));
        let back: String = serde_json::from_str(&line).expect("valid JSON");
        assert_eq!(back, "a\"b\\c\n\u{7f}\u{fffd}\u{e9}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn lines_that_a_full_disk_does_not_take_are_counted() {
        let (mut log, written) = AccessLog::open(&Sink::File("/dev/full".to_owned())).expect("opened");
        let dropped = log.dropped.clone();
        log.submit(&mut b"one\ntwo\n".to_vec());
        log.end();
        assert_eq!(written.recv_timeout(Duration::from_secs(5)), Err(RecvTimeoutError::Disconnected));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }
}
