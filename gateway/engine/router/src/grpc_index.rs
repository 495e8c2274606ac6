//! The gRPC candidates of one hostname, found by service and method (Gateway API: `GRPCRouteRule.matches`).

use std::sync::Arc;

use crate::candidate::{Candidate, Target, split_grpc};
use crate::group::{Candidates, Groups, Routes, put, take_out};
use crate::host_map::Index;
use crate::value::ValueTest;

#[derive(Clone, Debug, Default)]
pub struct GrpcIndex {
    /// Both names exact, keyed by the whole path.
    call: Groups,
    service: Groups,
    method: Groups,
    /// A pattern for the service, whatever the method.
    service_pattern: Candidates,
    /// A pattern for the method alone.
    method_pattern: Candidates,
    any: Candidates,
}

/// Where a candidate is kept.
enum Place<'a> {
    Keyed(&'a mut Groups, Arc<str>),
    Listed(&'a mut Candidates),
}

impl GrpcIndex {
    /// The candidates for `path`, best first, one slice for each way to name it. `true` where a pattern is
    /// still to be tried.
    #[inline]
    pub fn slices(&self, path: &str) -> [(&[Arc<Candidate>], bool); 6] {
        let Some((service, method)) = split_grpc(path) else {
            let mut slices: [(&[Arc<Candidate>], bool); 6] = [(&[], false); 6];
            slices[5].0 = &self.any;
            return slices;
        };
        [
            (self.call.get(path), false),
            (self.service.get(service), false),
            (&self.service_pattern, true),
            (self.method.get(method), false),
            (&self.method_pattern, true),
            (&self.any, false),
        ]
    }

    fn place(&mut self, candidate: &Candidate) -> Option<Place<'_>> {
        use ValueTest::{Exact, Regex};
        let Target::Grpc { service, method } = &candidate.target else { return None };
        Some(match (service, method) {
            (Some(Exact(service)), Some(Exact(method))) => {
                Place::Keyed(&mut self.call, format!("/{service}/{method}").into())
            }
            (Some(Exact(service)), None) => Place::Keyed(&mut self.service, Arc::from(&**service)),
            (None, Some(Exact(method))) => Place::Keyed(&mut self.method, Arc::from(&**method)),
            (None, Some(Regex(_))) => Place::Listed(&mut self.method_pattern),
            (None, None) => Place::Listed(&mut self.any),
            (Some(_), _) => Place::Listed(&mut self.service_pattern),
        })
    }
}

impl Index for GrpcIndex {
    fn put(&mut self, candidate: &Arc<Candidate>, routes: &Routes) {
        match self.place(candidate) {
            Some(Place::Keyed(groups, key)) => drop(groups.put(&key, candidate, routes)),
            Some(Place::Listed(candidates)) => put(candidates, candidate, routes),
            None => {}
        }
    }

    fn take_out(&mut self, candidate: &Candidate) {
        match self.place(candidate) {
            Some(Place::Keyed(groups, key)) => drop(groups.take_out(&key, candidate)),
            Some(Place::Listed(candidates)) => take_out(candidates, candidate),
            None => {}
        }
    }

    fn is_empty(&self) -> bool {
        let keyed = [&self.call, &self.service, &self.method];
        let listed = [&self.service_pattern, &self.method_pattern, &self.any];
        keyed.iter().all(|groups| groups.is_empty()) && listed.iter().all(|candidates| candidates.is_empty())
    }

    fn all(&self) -> Vec<&Arc<Candidate>> {
        let keyed = [&self.call, &self.service, &self.method].into_iter().flat_map(Groups::all);
        keyed.chain(&self.service_pattern).chain(&self.method_pattern).chain(&self.any).collect()
    }
}
