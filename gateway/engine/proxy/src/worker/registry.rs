//! Who is to be woken when a worker drains or its configuration changes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::Worker;

/// Wakers of the open connections, in reused places.
#[derive(Debug, Default)]
pub(super) struct ConnectionRegistry {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl ConnectionRegistry {
    pub fn insert(&mut self, waker: Waker) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.wakers[place] = Some(waker);
                place
            }
            None => {
                self.wakers.push(Some(waker));
                self.wakers.len() - 1
            }
        }
    }

    pub fn remove(&mut self, place: usize) {
        self.wakers[place] = None;
        self.free.push(place);
    }

    pub fn wake_all(&self) {
        for waker in self.wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

impl Worker {
    /// Registers the task that awaits this, so that a drain or a change can wake it. Drop the guard to leave.
    pub async fn registered(self: &Rc<Self>) -> Registration {
        let register = |waker: &Waker| self.connections.borrow_mut().insert(waker.clone());
        let place = poll_fn(|task| Poll::Ready(register(task.waker()))).await;
        Registration { worker: self.clone(), place }
    }
}

/// A connection's place in the registry.
pub struct Registration {
    worker: Rc<Worker>,
    place: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(self.place);
    }
}
