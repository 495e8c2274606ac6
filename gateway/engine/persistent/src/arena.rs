//! Values by key and by position, where a key keeps its position for as long as it is there.

use std::sync::Arc;

use crate::{Keyed, KeyedMap, Slots};

/// Positions are small and are used again: what is prepared for a value may lie in a list.
#[derive(Debug)]
pub struct Arena<T> {
    slots: Slots<Arc<T>>,
    places: KeyedMap<Place<T>>,
    /// Positions below the next new one that nobody has.
    free: Vec<u32>,
    next: u32,
}

#[derive(Debug)]
struct Place<T> {
    position: u32,
    value: Arc<T>,
}

impl<T> Clone for Arena<T> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone(), places: self.places.clone(), free: self.free.clone(), next: self.next }
    }
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        Self { position: self.position, value: self.value.clone() }
    }
}

impl<T: Keyed> Keyed for Place<T> {
    fn key(&self) -> &str {
        self.value.key()
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { slots: Slots::default(), places: KeyedMap::default(), free: Vec::new(), next: 0 }
    }
}

impl<T: Keyed> Arena<T> {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn position(&self, key: &str) -> Option<u32> {
        self.places.get(key).map(|place| place.position)
    }

    pub fn get(&self, key: &str) -> Option<&Arc<T>> {
        self.places.get(key).map(|place| &place.value)
    }

    /// By position.
    #[inline]
    pub fn slots(&self) -> &Slots<Arc<T>> {
        &self.slots
    }

    /// The value's position, and the value that had its key.
    pub fn insert(&mut self, value: Arc<T>) -> (u32, Option<Arc<T>>) {
        if let Some(place) = self.places.get_mut(value.key()) {
            let position = place.position;
            let before = std::mem::replace(&mut place.value, value.clone());
            self.slots.set(position as usize, Some(value));
            return (position, Some(before));
        }
        let position = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.slots.set(position as usize, Some(value.clone()));
        self.places.insert(Place { position, value });
        (position, None)
    }

    /// The value and the position that it had.
    pub fn remove(&mut self, key: &str) -> Option<(u32, Arc<T>)> {
        let Place { position, value } = self.places.remove(key)?;
        self.slots.set(position as usize, None);
        self.free.push(position);
        Some((position, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Named = (String, u32);

    fn named(key: &str, value: u32) -> Arc<Named> {
        Arc::new((key.to_owned(), value))
    }

    #[test]
    fn a_key_keeps_its_position_and_a_position_is_used_again() {
        let mut arena = Arena::default();
        assert_eq!(arena.insert(named("a", 1)).0, 0);
        assert_eq!(arena.insert(named("b", 2)).0, 1);
        let before = arena.clone();
        assert_eq!(arena.insert(named("b", 3)), (1, Some(named("b", 2))));
        assert_eq!(arena.remove("a"), Some((0, named("a", 1))));
        assert_eq!((arena.remove("a"), arena.position("a"), arena.slots().get(0)), (None, None, None));
        assert_eq!(arena.insert(named("c", 4)).0, 0);
        assert_eq!((arena.len(), arena.get("b"), arena.position("c")), (2, Some(&named("b", 3)), Some(0)));
        assert_eq!((before.get("a"), before.get("b")), (Some(&named("a", 1)), Some(&named("b", 2))));
    }
}
