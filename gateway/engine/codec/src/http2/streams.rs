//! The streams of a connection: by id for the wire, by key for their owners.

use super::stream::{Stream, StreamKey};

/// Slots that an empty connection keeps.
const KEPT: usize = 16;
/// How many reset streams are remembered.
const REMEMBERED: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Ids with their slots, ascending: streams open in that order.
    ids: Vec<(u32, u32)>,
    /// Streams that were reset, and by whom: what is under way for them means something else than it would otherwise.
    resets: Vec<(u32, ResetBy)>,
    next_reset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetBy {
    Us,
    Peer,
}

impl Streams {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn insert(&mut self, stream: Stream) -> StreamKey {
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(stream);
                slot
            }
            None => {
                self.slots.push(Some(stream));
                self.slots.len() as u32 - 1
            }
        };
        self.ids.push((id, slot));
        StreamKey { slot, id }
    }

    #[inline]
    pub fn find(&self, id: u32) -> Option<StreamKey> {
        let position = self.ids.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(StreamKey { slot: self.ids[position].1, id })
    }

    #[inline]
    pub fn get(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.slot as usize)?.as_mut().filter(|stream| stream.id == key.id)
    }

    pub fn peek(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.slot as usize)?.as_ref().filter(|stream| stream.id == key.id)
    }

    /// Forgets a stream whose content has been cleared.
    pub fn remove(&mut self, key: StreamKey) {
        if let Ok(position) = self.ids.binary_search_by_key(&key.id, |(id, _)| *id) {
            self.ids.remove(position);
            self.slots[key.slot as usize] = None;
            self.free.push(key.slot);
        }
        if self.ids.is_empty() && self.slots.len() > KEPT {
            *self = Self { resets: std::mem::take(&mut self.resets), next_reset: self.next_reset, ..Self::default() };
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = StreamKey> {
        self.ids.iter().map(|(id, slot)| StreamKey { slot: *slot, id: *id })
    }

    pub fn each(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().flatten()
    }

    pub fn remember_reset(&mut self, id: u32, by: ResetBy) {
        if self.resets.len() < REMEMBERED {
            self.resets.push((id, by));
        } else {
            self.resets[self.next_reset] = (id, by);
            self.next_reset = (self.next_reset + 1) % REMEMBERED;
        }
    }

    pub fn reset_by(&self, id: u32) -> Option<ResetBy> {
        self.resets.iter().rev().find(|(reset, _)| *reset == id).map(|(_, by)| *by)
    }
}
