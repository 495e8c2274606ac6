//! Backends whose endpoints somebody else tells: traffic goes on to where its connection was going before it was captured,
//! or to addresses of a host outside that were vetted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::backend::{Backend, Parts};
use crate::endpoint::EndpointState;
use crate::spec::EndpointSpec;

/// So many are kept with nothing to do, so that their connections are found again.
const MOST_UNUSED: usize = 512;

/// One backend's destinations, each a backend of one endpoint.
#[derive(Default)]
pub(crate) struct Destinations {
    by_address: RefCell<HashMap<SocketAddr, Rc<Backend>>>,
    /// What requests were sent to last: mostly it is the same again.
    vetted: RefCell<Option<Vetted>>,
}

type Vetted = (Box<[SocketAddr]>, Rc<Backend>);

impl Backend {
    /// The same backend with this endpoint alone.
    pub fn towards(self: &Rc<Self>, destination: SocketAddr) -> Rc<Backend> {
        let counters = &self.parts().counters;
        let mut known = self.parts().destinations.get_or_init(Box::default).by_address.borrow_mut();
        if let Some(backend) = known.get(&destination) {
            return backend.clone();
        }
        if known.len() >= MOST_UNUSED {
            known.retain(|_, backend| !is_unused(backend));
        }
        let endpoint = EndpointSpec::of_address(destination);
        let state = EndpointState::new(&endpoint, counters.clone(), self.shared().clone());
        let parts = Parts::new(Box::new([state]), counters.clone());
        let backend = Backend::with_parts(self.spec().clone(), self.shared().clone(), parts);
        known.entry(destination).or_insert(Rc::new(backend)).clone()
    }

    /// The same backend with these endpoints alone, in place of a name. Addresses that stay keep their connections.
    pub fn at_addresses(self: &Rc<Self>, addresses: &[SocketAddr]) -> Rc<Backend> {
        let parts = self.parts();
        let mut last = parts.destinations.get_or_init(Box::default).vetted.borrow_mut();
        if let Some((known, backend)) = &*last
            && **known == *addresses
        {
            return backend.clone();
        }
        let endpoints = addresses.iter().flat_map(|address| self.towards(*address).endpoints().to_vec()).collect();
        let parts = Parts::new(endpoints, parts.counters.clone());
        let backend = Rc::new(Backend::with_parts(self.spec().clone(), self.shared().clone(), parts));
        *last = Some((addresses.into(), backend.clone()));
        backend
    }
}

impl Parts {
    /// Lets go of the destinations' connections, as an endpoint that leaves the table does.
    pub(crate) fn retire_destinations(&self) {
        let Some(destinations) = self.destinations.get() else { return };
        destinations.vetted.take();
        for backend in destinations.by_address.borrow_mut().drain().map(|(_, backend)| backend) {
            backend.endpoints().iter().for_each(|endpoint| endpoint.retire());
        }
    }
}

fn is_unused(backend: &Rc<Backend>) -> bool {
    let busy = |endpoint: &Rc<EndpointState>| endpoint.in_flight() > 0 || endpoint.idle() > 0;
    Rc::strong_count(backend) == 1 && !backend.endpoints().iter().any(busy)
}
