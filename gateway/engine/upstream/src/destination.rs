//! Backends without endpoints of their own: traffic goes on to where its connection was going before it was captured.

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
}

impl Backend {
    /// The same backend with this endpoint alone. Only for one whose traffic goes on to its original destination.
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

}

impl Parts {
    /// Lets go of the destinations' connections, as an endpoint that leaves the table does.
    pub(crate) fn retire_destinations(&self) {
        let Some(destinations) = self.destinations.get() else { return };
        for backend in destinations.by_address.borrow_mut().drain().map(|(_, backend)| backend) {
            backend.endpoints().iter().for_each(|endpoint| endpoint.retire());
        }
    }
}

fn is_unused(backend: &Rc<Backend>) -> bool {
    let busy = |endpoint: &Rc<EndpointState>| endpoint.in_flight() > 0 || endpoint.idle() > 0;
    Rc::strong_count(backend) == 1 && !backend.endpoints().iter().any(busy)
}
