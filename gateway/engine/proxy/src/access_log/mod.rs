//! The access log: one JSON line a request, last of all, exactly once.
//!
//! Keys follow Istio's JSON access log; `response_code_details` is a stable [`Reason`] code. A line
//! is formatted on the worker from borrowed values into one buffer, and a thread of its own writes
//! whole buffers, so that a slow disk or a full pipe never holds up traffic: what cannot be queued
//! is dropped and counted.

mod json;
mod line;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::timestamp::{TimestampText, WallClock};
pub use line::{Line, PlaceFields, backend_fields, connection_fields, listener_fields, route_fields};

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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;

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
