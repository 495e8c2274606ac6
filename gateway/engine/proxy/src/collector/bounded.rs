//! A socket of a thread that may wait, but not for ever: whoever sends a byte now and then gains no time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct BoundedStream {
    stream: TcpStream,
    until: Instant,
}

impl BoundedStream {
    pub fn new(stream: TcpStream, until: Instant) -> Self {
        Self { stream, until }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(too_late()) } else { Ok(left) }
    }
}

/// The kernel's word for a timeout of a socket is another one.
fn in_time<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| if error.kind() == io::ErrorKind::WouldBlock { too_late() } else { error })
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time")
}

impl Read for BoundedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        in_time(self.stream.read(buffer))
    }
}

impl Write for BoundedStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        in_time(self.stream.write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
