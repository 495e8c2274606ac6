//! What the two sides tell each other about themselves (RFC 9113, 6.5).

use bytes::{BufMut, BytesMut};

use super::frame::{kind, write_head};
use super::hpack::DEFAULT_TABLE_SIZE;
use super::{ConnectionError, Reason};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// The largest flow-control window (RFC 9113, 6.9.1).
pub const MAX_WINDOW: u32 = 0x7fff_ffff;
/// Every window before anybody says something else (RFC 9113, 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// What the peer said. A larger frame than everybody takes is never sent, so that bound is checked and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    pub header_table_size: usize,
    pub max_concurrent_streams: u32,
    pub initial_window: u32,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self { header_table_size: DEFAULT_TABLE_SIZE, max_concurrent_streams: u32::MAX, initial_window: DEFAULT_WINDOW }
    }
}

impl PeerSettings {
    /// Takes over the payload of a SETTINGS frame; `from_server`: the peer may not allow pushing.
    pub fn update(&mut self, payload: &[u8], from_server: bool) -> Result<(), ConnectionError> {
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(ConnectionError::new(Reason::FRAME_SIZE_ERROR, "settings of a wrong length"));
        }
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                HEADER_TABLE_SIZE => self.header_table_size = value as usize,
                ENABLE_PUSH if value > 1 || (from_server && value == 1) => {
                    return Err(ConnectionError::protocol("a setting for pushes that is not allowed"));
                }
                MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                    return Err(ConnectionError::new(
                        Reason::FLOW_CONTROL_ERROR,
                        "an initial window that is too large",
                    ));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(16_384..=0xff_ffff).contains(&value) => {
                    return Err(ConnectionError::protocol("a frame size that is not allowed"));
                }
                // Unknown settings mean nothing (RFC 9113, 6.5.2).
                _ => {}
            }
        }
        Ok(())
    }
}

/// What we say first.
#[derive(Clone, Copy, Debug)]
pub struct LocalSettings {
    /// Only a server bounds its peer's streams; only a client refuses pushes.
    pub max_concurrent_streams: Option<u32>,
    pub initial_window: u32,
    pub max_header_list_size: u32,
}

impl LocalSettings {
    pub fn write(&self, out: &mut BytesMut) {
        let limit = match self.max_concurrent_streams {
            Some(streams) => (MAX_CONCURRENT_STREAMS, streams),
            None => (ENABLE_PUSH, 0),
        };
        let settings =
            [limit, (INITIAL_WINDOW_SIZE, self.initial_window), (MAX_HEADER_LIST_SIZE, self.max_header_list_size)];
        write_head(settings.len() * 6, kind::SETTINGS, 0, 0, out);
        for (setting, value) in settings {
            out.put_u16(setting);
            out.put_u32(value);
        }
    }
}
