//! The table that the sender fills (RFC 7541, 2.3.2 and 4).

use std::collections::VecDeque;

use super::field::Field;

/// What an entry costs beside its name and value (RFC 7541, 4.1).
pub const ENTRY_OVERHEAD: usize = 32;

#[derive(Debug)]
pub struct DynamicTable {
    /// The newest first.
    entries: VecDeque<(Field, usize)>,
    size: usize,
    limit: usize,
}

impl DynamicTable {
    pub fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, limit }
    }

    /// The entry at `index`, counted from 0, and its size.
    pub fn get(&self, index: usize) -> Option<(&Field, usize)> {
        self.entries.get(index).map(|(field, size)| (field, *size))
    }

    /// An entry that is larger than the table empties it (RFC 7541, 4.4).
    pub fn insert(&mut self, field: Field, size: usize) {
        self.make_room(size);
        if size <= self.limit {
            self.size += size;
            self.entries.push_front((field, size));
        }
    }

    pub fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.make_room(0);
    }

    fn make_room(&mut self, wanted: usize) {
        while self.size + wanted > self.limit {
            let Some((_, size)) = self.entries.pop_back() else { return };
            self.size -= size;
        }
    }

    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.size
    }
}
