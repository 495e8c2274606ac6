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
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, Version};

use crate::reason::Reason;

/// Buffers waiting for the writer; at 32 KiB each, 16 MiB at the most.
const QUEUED_BUFFERS: usize = 512;
/// A worker's buffer is handed over at this size, or after a moment.
pub const FLUSH_BYTES: usize = 32 * 1024;

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
        let (writing, written) = channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let target: Box<dyn Write + Send> = match sink {
            Sink::None => return Ok((AccessLog { queue: None, dropped }, written)),
            Sink::Stdout => Box::new(io::stdout()),
            Sink::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                Box::new(file.map_err(|e| format!("access log {path}: {e}; check the folder and its permissions"))?)
            }
        };
        let (queue, buffers) = sync_channel(QUEUED_BUFFERS);
        let lost = dropped.clone();
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                write_all(target, &buffers, &lost);
                drop(writing);
            })
            .map_err(|e| format!("access log: cannot start its thread: {e}"))?;
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

/// What one line says. Absent values are written as `null`.
#[derive(Debug)]
pub struct Line<'a> {
    pub ended: SystemTime,
    pub duration: Duration,
    pub method: &'a Method,
    pub path: &'a [u8],
    pub version: Version,
    pub authority: &'a [u8],
    pub status: u16,
    pub reason: Reason,
    pub grpc_status: Option<u16>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub upstream_duration: Option<Duration>,
    pub retries: u32,
    pub user_agent: Option<&'a [u8]>,
    pub forwarded_for: Option<&'a [u8]>,
    pub request_id: &'a [u8],
    pub trace_id: &'a str,
    pub remote: &'a str,
    pub local: &'a str,
    pub server_name: Option<&'a str>,
    pub gateway: &'a str,
    pub listener: &'a str,
    pub route: &'a str,
    pub rule_name: &'a str,
    pub backend: &'a str,
    pub upstream_host: &'a str,
    pub upstream_failure: &'a str,
}

impl Line<'_> {
    pub fn write(&self, out: &mut Vec<u8>) {
        let since_epoch = self.ended.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.extend_from_slice(b"{\"start_time\":\"");
        timestamp(since_epoch.saturating_sub(self.duration), out);
        out.push(b'"');
        text(out, "method", self.method.as_str().as_bytes());
        text(out, "path", self.path);
        known(out, "protocol", protocol(self.version));
        text(out, "authority", self.authority);
        number(out, "response_code", self.status.into());
        known(out, "response_flags", self.reason.flags());
        known(out, "response_code_details", self.reason.code());
        optional_number(out, "grpc_status", self.grpc_status.map(u64::from));
        number(out, "bytes_received", self.bytes_received);
        number(out, "bytes_sent", self.bytes_sent);
        number(out, "duration", self.duration.as_millis() as u64);
        number(out, "duration_us", self.duration.as_micros() as u64);
        optional_number(out, "upstream_service_time", self.upstream_duration.map(|d| d.as_millis() as u64));
        number(out, "retries", self.retries.into());
        optional_text(out, "user_agent", self.user_agent);
        optional_text(out, "x_forwarded_for", self.forwarded_for);
        text(out, "request_id", self.request_id);
        known(out, "trace_id", self.trace_id);
        known(out, "downstream_remote_address", self.remote);
        known(out, "downstream_local_address", self.local);
        optional_text(out, "requested_server_name", self.server_name.map(str::as_bytes));
        named(out, "gateway", self.gateway);
        named(out, "listener", self.listener);
        named(out, "route_name", self.route);
        named(out, "rule_name", self.rule_name);
        named(out, "upstream_cluster", self.backend);
        named(out, "upstream_host", self.upstream_host);
        named(out, "upstream_transport_failure_reason", self.upstream_failure);
        out.extend_from_slice(b"}\n");
    }
}

pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn optional_number(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    match value {
        Some(value) => number(out, name, value),
        None => null(out, name),
    }
}

fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    key(out, name);
    out.push(b'"');
    escape(value, out);
    out.push(b'"');
}

/// A value made here, which holds nothing to escape.
fn known(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn optional_text(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    match value {
        Some(value) => text(out, name, value),
        None => null(out, name),
    }
}

fn named(out: &mut Vec<u8>, name: &str, value: &str) {
    optional_text(out, name, (!value.is_empty()).then_some(value.as_bytes()));
}

fn null(out: &mut Vec<u8>, name: &str) {
    key(out, name);
    out.extend_from_slice(b"null");
}

/// JSON string escaping; bytes that are not UTF-8 become U+FFFD, so a line is always valid JSON.
fn escape(value: &[u8], out: &mut Vec<u8>) {
    // Without early exit, so that many bytes are looked at in one step.
    let special = |byte: u8| !(0x20..=0x7e).contains(&byte) | (byte == b'"') | (byte == b'\\');
    if !value.iter().fold(false, |found, byte| found | special(*byte)) {
        out.extend_from_slice(value);
        return;
    }
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

/// RFC 3339 in UTC with milliseconds.
pub fn timestamp(since_epoch: Duration, out: &mut Vec<u8>) {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date((seconds / 86_400) as i64);
    let second_of_day = seconds % 86_400;
    padded(out, year as u64, 4);
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
    out.push(b'T');
    padded(out, second_of_day / 3600, 2);
    out.push(b':');
    padded(out, second_of_day / 60 % 60, 2);
    out.push(b':');
    padded(out, second_of_day % 60, 2);
    out.push(b'.');
    padded(out, since_epoch.subsec_millis().into(), 3);
    out.push(b'Z');
}

fn padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits);
}

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted from
/// March inside 400-year eras of 146,097 days, which puts the leap day last.
fn civil_date(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u64, day as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;

    fn stamp(seconds: u64) -> String {
        let mut out = Vec::new();
        timestamp(Duration::from_secs(seconds), &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(stamp(seconds), want);
        }
    }

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
