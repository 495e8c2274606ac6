//! Least-request balancing: of two endpoints taken at random, the one with less in flight.
//!
//! Two choices are nearly as even as asking every endpoint, at a constant cost, and do not make
//! all workers rush to the same idle endpoint.

use std::cell::Cell;
use std::rc::Rc;

use crate::endpoint::{EndpointHandle, EndpointState};

/// The worker's source of randomness, seeded by tests.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let mut generator = fastrand::Rng::with_seed(self.0.get());
        let number = generator.usize(..bound);
        self.0.set(generator.get_seed());
        number
    }
}

/// `None` only when there are no endpoints: the one to avoid is still better than none.
pub(crate) fn choose<'a>(
    endpoints: &'a [Rc<EndpointState>],
    avoid: Option<&EndpointHandle>,
    random: &Random,
) -> Option<&'a Rc<EndpointState>> {
    let avoided = avoid.and_then(|avoid| endpoints.iter().position(|endpoint| Rc::ptr_eq(endpoint, avoid)));
    match (endpoints, avoided) {
        ([], _) => None,
        ([only], _) => Some(only),
        (_, None) => {
            let (first, second) = two_of(endpoints.len(), random);
            Some(less_loaded(&endpoints[first], &endpoints[second]))
        }
        (_, Some(avoided)) => {
            // Choose among the others: positions from the avoided one on move up by one.
            let skip = |position: usize| if position >= avoided { position + 1 } else { position };
            let others = endpoints.len() - 1;
            let (first, second) = if others == 1 { (0, 0) } else { two_of(others, random) };
            Some(less_loaded(&endpoints[skip(first)], &endpoints[skip(second)]))
        }
    }
}

/// Two different positions below `count`, which is at least 2, in random order.
fn two_of(count: usize, random: &Random) -> (usize, usize) {
    let first = random.below(count);
    let second = random.below(count - 1);
    (first, if second >= first { second + 1 } else { second })
}

fn less_loaded<'a>(first: &'a Rc<EndpointState>, second: &'a Rc<EndpointState>) -> &'a Rc<EndpointState> {
    if second.in_flight() < first.in_flight() { second } else { first }
}
