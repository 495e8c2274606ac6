//! Values by position, in chunks that versions share.

use std::ops::Index;
use std::sync::Arc;

const CHUNK: usize = 64;

type Chunk<T> = [Option<T>; CHUNK];

/// A list with holes, whose clone copies a list of chunks, and whose change copies one chunk.
#[derive(Clone, Debug)]
pub struct Slots<T> {
    chunks: Vec<Arc<Chunk<T>>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Slots<T> {
    #[inline]
    pub fn get(&self, position: usize) -> Option<&T> {
        self.chunks.get(position / CHUNK)?[position % CHUNK].as_ref()
    }

    /// No position beyond it is in use.
    pub fn bound(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Every value with its position, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let values = self.chunks.iter().flat_map(|chunk| chunk.iter()).enumerate();
        values.filter_map(|(position, value)| Some((position, value.as_ref()?)))
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// Positions outside of what the two versions share: all that may differ, and some that do not.
    pub fn unshared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let count = self.chunks.len().max(other.chunks.len());
        let shared = |chunk: &usize| match (self.chunks.get(*chunk), other.chunks.get(*chunk)) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        };
        (0..count).filter(move |chunk| !shared(chunk)).flat_map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK)
    }
}

impl<T: Clone> Slots<T> {
    /// `None` empties the position.
    pub fn set(&mut self, position: usize, value: Option<T>) {
        let chunk = position / CHUNK;
        while self.chunks.len() <= chunk {
            self.chunks.push(Arc::new([const { None }; CHUNK]));
        }
        Arc::make_mut(&mut self.chunks[chunk])[position % CHUNK] = value;
    }
}

/// For positions that are known to be in use.
impl<T> Index<usize> for Slots<T> {
    type Output = T;

    #[inline]
    fn index(&self, position: usize) -> &T {
        self.get(position).expect("a position in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_in_what_was_set_since() {
        let mut slots = Slots::default();
        (0..300).for_each(|position| slots.set(position, Some(position)));
        let before = slots.clone();
        slots.set(70, None);
        slots.set(300, Some(1));
        assert_eq!((slots.get(70), before.get(70)), (None, Some(&70)));
        assert_eq!((slots.get(300), before.get(300), slots.get(10_000)), (Some(&1), None, None));
        assert_eq!(slots[299], 299);
        let unshared: Vec<_> = slots.unshared(&before).collect();
        assert_eq!(unshared, (64..128).chain(256..320).collect::<Vec<_>>());
        assert_eq!(before.unshared(&before).count(), 0);
    }

    #[test]
    fn holes_are_passed_over() {
        let mut slots = Slots::default();
        slots.set(3, Some('a'));
        slots.set(130, Some('b'));
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(3, &'a'), (130, &'b')]);
        assert_eq!(slots.bound(), 192);
    }
}
