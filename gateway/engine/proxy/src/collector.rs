//! A collector of OpenTelemetry that gets decision records: OTLP over HTTP with JSON, in the clear or over TLS.
//!
//! Used by a thread that may wait. What cannot be delivered after a few attempts, each of them bounded, is an error of the
//! write, and its lines are counted as lost; why is told on standard error, when it changes.

mod bounded;
mod secured;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::otlp;
use bounded::BoundedStream;
use secured::Secured;

/// Of one attempt, from dialling to the answer.
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// Between two words on why nothing is delivered, however often the reason changes.
const SILENCE: Duration = Duration::from_secs(10);
const MAX_STATUS_LINE: u64 = 512;
const PATH: &str = "/v1/logs";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorOptions {
    /// `http://host:port` or `https://host:port`, with a path in front of `/v1/logs` or without. Empty: no collector.
    pub url: String,
    /// Files of PEM, for https, read again when they change. Empty: the operating system's authorities.
    pub authorities: PathBuf,
    /// What the gateway shows, and its key; empty: nothing.
    pub certificate: PathBuf,
    pub private_key: PathBuf,
}

#[derive(Debug)]
pub struct Collector {
    authority: String,
    path: String,
    secured: Option<Secured>,
    /// What was said last of why nothing is delivered, and when.
    told: Option<(String, Instant)>,
}

impl Collector {
    /// An error says what is wrong with the options or the files.
    pub fn open(options: &CollectorOptions) -> Result<Self, String> {
        let url = &options.url;
        let wrong = || format!("{url} is not of the form http://HOST:PORT or https://HOST:PORT");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        if !is_port || host.is_empty() || authority.contains('@') || !is_plain(rest) {
            return Err(wrong());
        }
        let secured = match scheme {
            "http" if options.asks_for_tls() => {
                return Err(format!("{url} is spoken to in the clear; authorities and certificates are for https"));
            }
            "http" => None,
            "https" => Some(Secured::open(host, options)?),
            _ => return Err(wrong()),
        };
        let prefix = path.trim_end_matches('/');
        let path = if prefix.is_empty() { PATH.to_owned() } else { format!("/{prefix}{PATH}") };
        Ok(Self { authority: authority.to_owned(), path, secured, told: None })
    }

    fn send(&mut self, body: &[u8]) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.authority.to_socket_addrs()? {
            match self.send_to(&address, body) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn send_to(&mut self, address: &SocketAddr, body: &[u8]) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let stream = BoundedStream::new(TcpStream::connect_timeout(address, PATIENCE)?, until);
        match &mut self.secured {
            None => self.exchange(stream, body),
            Some(secured) => {
                let stream = secured.current().connect_waiting(stream);
                self.exchange(stream.map_err(|error| io::Error::other(error.message))?, body)
            }
        }
    }

    fn exchange(&self, mut stream: impl Read + Write, body: &[u8]) -> io::Result<()> {
        let Self { path, authority, .. } = self;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
        let mut status = Vec::new();
        BufReader::new(stream.take(MAX_STATUS_LINE)).read_until(b'\n', &mut status)?;
        match status.get(9..12) {
            Some([b'2', ..]) => Ok(()),
            Some(code) => Err(io::Error::other(format!("it answered {}", String::from_utf8_lossy(code)))),
            None => Err(io::Error::other("it gave no answer of HTTP")),
        }
    }

    /// For people. The same reason is said once.
    fn tell(&mut self, outcome: &io::Result<()>) {
        let reason = outcome.as_ref().err().map(ToString::to_string);
        match (&self.told, reason) {
            (Some(_), None) => {
                eprintln!("egress records reach the collector {} again", self.authority);
                self.told = None;
            }
            (told, Some(reason)) => {
                let is_known = told.as_ref().is_some_and(|(known, at)| *known == reason || at.elapsed() < SILENCE);
                if !is_known {
                    eprintln!(
                        "egress records do not reach the collector {}: {reason}; they are counted as lost",
                        self.authority
                    );
                    self.told = Some((reason, Instant::now()));
                }
            }
            (None, None) => {}
        }
    }
}

impl CollectorOptions {
    fn asks_for_tls(&self) -> bool {
        [&self.authorities, &self.certificate, &self.private_key].iter().any(|path| !path.as_os_str().is_empty())
    }
}

impl Write for Collector {
    /// Takes all of `data`, which is whole lines, or none.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let body = serde_json::to_vec(&otlp::request(data))?;
        let mut outcome = self.send(&body);
        for attempt in 1..ATTEMPTS {
            if outcome.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE * attempt);
            outcome = self.send(&body);
        }
        self.tell(&outcome);
        outcome.map(|()| data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
