//! Writing header blocks (RFC 7541, 6), with a table of the fields that repeat.
//!
//! Each name that is worth it has one place: a value that is the same as last time is one byte, another takes the place.
//! Names whose values keep changing lose the right to a place until an old value comes back. Huffman coding is spent on
//! what enters the table alone; elsewhere a byte saved costs more than it is worth.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use http::{Method, StatusCode};

use super::dynamic::ENTRY_OVERHEAD;
use super::known::{AUTHORITY, PLACES, Policy, TE, known};
use super::{DEFAULT_TABLE_SIZE, huffman, integer, static_table};
use crate::Scheme;

const PATTERN_INDEXED: u8 = 0x80;
const PATTERN_KEPT: u8 = 0x40;
const PATTERN_SIZE: u8 = 0x20;
const PATTERN_SECRET: u8 = 0x10;
const PATTERN_PLAIN: u8 = 0x00;
/// Longer values do not get a place.
const LONGEST_KEPT: usize = 256;
/// How many changes of value in a row a place takes.
const PATIENCE: u8 = 8;

#[derive(Clone, Debug)]
struct Place {
    value: Box<[u8]>,
    /// The number of the insertion, from 1; 0 for none.
    number: u64,
    patience: u8,
}

impl Default for Place {
    fn default() -> Self {
        Self { value: Box::default(), number: 0, patience: PATIENCE }
    }
}

#[derive(Debug)]
pub struct Encoder {
    places: Vec<Place>,
    /// Sizes of what is in the table, the oldest first.
    sizes: VecDeque<usize>,
    size: usize,
    limit: usize,
    inserted: u64,
    /// The smallest size since the last block, when the size changed.
    shrunk_to: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            sizes: VecDeque::new(),
            size: 0,
            limit: DEFAULT_TABLE_SIZE,
            inserted: 0,
            shrunk_to: None,
        }
    }
}

impl Encoder {
    /// The peer's bound on the table. Ours is the default size, however much the peer would keep.
    pub fn set_limit(&mut self, limit: usize) {
        let limit = limit.min(DEFAULT_TABLE_SIZE);
        if limit != self.limit {
            self.shrunk_to = Some(self.shrunk_to.unwrap_or(self.limit).min(limit));
            self.limit = limit;
            self.make_room(0);
        }
    }

    /// Has to come before the first field of each block (RFC 7541, 4.2).
    pub fn begin(&mut self, out: &mut BytesMut) {
        if let Some(smallest) = self.shrunk_to.take() {
            if smallest < self.limit {
                integer::write(smallest, 5, PATTERN_SIZE, out);
            }
            integer::write(self.limit, 5, PATTERN_SIZE, out);
        }
    }

    pub fn method(&mut self, method: &Method, out: &mut BytesMut) {
        match *method {
            Method::GET => out.put_u8(PATTERN_INDEXED | 2),
            Method::POST => out.put_u8(PATTERN_INDEXED | 3),
            _ => plain(2, method.as_str().as_bytes(), out),
        }
    }

    pub fn scheme(&mut self, scheme: Scheme, out: &mut BytesMut) {
        out.put_u8(match scheme {
            Scheme::Http => PATTERN_INDEXED | 6,
            Scheme::Https => PATTERN_INDEXED | 7,
        });
    }

    pub fn authority(&mut self, authority: &[u8], out: &mut BytesMut) {
        self.kept(AUTHORITY, 1, b":authority", authority, out);
    }

    pub fn path(&mut self, path: &[u8], out: &mut BytesMut) {
        match path {
            b"/" => out.put_u8(PATTERN_INDEXED | 4),
            _ => plain(4, path, out),
        }
    }

    pub fn status(&mut self, status: StatusCode, out: &mut BytesMut) {
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => return plain(8, status.as_str().as_bytes(), out),
        };
        out.put_u8(PATTERN_INDEXED | index);
    }

    pub fn content_length(&mut self, length: u64, out: &mut BytesMut) {
        plain(28, itoa::Buffer::new().format(length).as_bytes(), out);
    }

    /// A length that describes content which is not sent.
    pub fn described_length(&mut self, length: &[u8], out: &mut BytesMut) {
        plain(28, length, out);
    }

    /// A field of a header list; those that HTTP/2 does not carry are left out. `sensitive`: it stays out of every table
    /// on the way (RFC 7541, 7.1.3).
    pub fn field(&mut self, name: &[u8], value: &[u8], sensitive: bool, out: &mut BytesMut) {
        let (index, policy) = known(name);
        match policy {
            Policy::Left => {}
            Policy::Te if value == b"trailers" => self.kept(TE, 0, name, value, out),
            Policy::Te => {}
            Policy::Plain if !sensitive => literal(PATTERN_PLAIN, index, name, value, out),
            Policy::Kept(place) if !sensitive => self.kept(place, index, name, value, out),
            Policy::Secret | Policy::Plain | Policy::Kept(_) => literal(PATTERN_SECRET, index, name, value, out),
        }
    }

    fn kept(&mut self, place: usize, index: u8, name: &[u8], value: &[u8], out: &mut BytesMut) {
        if self.places.is_empty() {
            self.places.resize(PLACES, Place::default());
        }
        let dropped = self.inserted - self.sizes.len() as u64;
        let kept = &mut self.places[place];
        if kept.number > dropped && *kept.value == *value {
            kept.patience = PATIENCE;
            let index = static_table::LENGTH + (self.inserted - kept.number) as usize + 1;
            return integer::write(index, 7, PATTERN_INDEXED, out);
        }
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        if kept.patience == 0 || value.len() > LONGEST_KEPT || size > self.limit {
            integer::write(usize::from(index), 4, PATTERN_PLAIN, out);
            if index == 0 {
                string(name, out);
            }
            return string(value, out);
        }
        kept.patience -= 1;
        kept.value = value.into();
        kept.number = self.inserted + 1;
        self.inserted += 1;
        self.make_room(size);
        self.sizes.push_back(size);
        self.size += size;
        integer::write(usize::from(index), 6, PATTERN_KEPT, out);
        if index == 0 {
            short_string(name, out);
        }
        short_string(value, out);
    }

    fn make_room(&mut self, wanted: usize) {
        while self.size + wanted > self.limit {
            let Some(size) = self.sizes.pop_front() else { return };
            self.size -= size;
        }
    }
}

#[inline]
fn plain(index: u8, value: &[u8], out: &mut BytesMut) {
    integer::write(usize::from(index), 4, PATTERN_PLAIN, out);
    string(value, out);
}

#[inline]
fn literal(pattern: u8, index: u8, name: &[u8], value: &[u8], out: &mut BytesMut) {
    integer::write(usize::from(index), 4, pattern, out);
    if index == 0 {
        string(name, out);
    }
    string(value, out);
}

#[inline]
fn string(value: &[u8], out: &mut BytesMut) {
    integer::write(value.len(), 7, 0, out);
    out.extend_from_slice(value);
}

/// A string in the shorter of its two forms.
fn short_string(value: &[u8], out: &mut BytesMut) {
    let length = huffman::encoded_length(value);
    if length < value.len() {
        integer::write(length, 7, 0x80, out);
        huffman::encode(value, out);
    } else {
        string(value, out);
    }
}
