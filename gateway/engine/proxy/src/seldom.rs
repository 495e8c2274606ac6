//! Values by position, of which most are never needed: a part of the list is made when one of it is.

use std::cell::OnceCell;

const CHUNK: usize = 64;

#[derive(Debug)]
pub struct Seldom<T> {
    chunks: Box<[OnceCell<Box<[T]>>]>,
}

impl<T: Default> Seldom<T> {
    /// Room for `positions`.
    pub fn new(positions: usize) -> Self {
        Self { chunks: std::iter::repeat_with(OnceCell::new).take(positions.div_ceil(CHUNK)).collect() }
    }

    /// `None` where there is no such position.
    #[inline]
    pub fn get(&self, position: usize) -> Option<&T> {
        let chunk = self.chunks.get(position / CHUNK)?;
        chunk.get_or_init(|| std::iter::repeat_with(T::default).take(CHUNK).collect()).get(position % CHUNK)
    }

    /// Every value that may have been needed, with its position.
    pub fn made(&self) -> impl Iterator<Item = (usize, &T)> {
        let made = self.chunks.iter().enumerate().filter_map(|(chunk, values)| Some((chunk, values.get()?)));
        made.flat_map(|(chunk, values)| (chunk * CHUNK..).zip(values))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_what_is_asked_for_is_made() {
        let seldom = Seldom::<Cell<u32>>::new(130);
        assert_eq!(seldom.made().count(), 0);
        seldom.get(70).expect("a position").set(7);
        assert_eq!(seldom.get(70).map(Cell::get), Some(7));
        assert_eq!(seldom.made().filter(|(_, it)| it.get() > 0).map(|(at, _)| at).collect::<Vec<_>>(), [70]);
        assert_eq!(seldom.made().count(), 64);
        assert!(seldom.get(129).is_some() && seldom.get(192).is_none());
    }
}
