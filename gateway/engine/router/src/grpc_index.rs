//! The gRPC candidates of one hostname, found by service and method (Gateway API: `GRPCRouteRule.matches`).

use std::ops::Range;
use std::sync::Arc;

use crate::FastMap;
use crate::candidate::{Candidate, Target, split_grpc};
use crate::path_index::Slots;
use crate::value::ValueTest;

/// Positions in the router's list of candidates, and so in order of precedence.
#[derive(Debug, Default)]
pub struct GrpcIndex {
    /// Both names exact, keyed by the whole path.
    call: FastMap<Arc<str>, Range<u32>>,
    service: FastMap<Arc<str>, Range<u32>>,
    method: FastMap<Arc<str>, Range<u32>>,
    /// A pattern for the service, whatever the method.
    service_pattern: Range<u32>,
    /// A pattern for the method alone.
    method_pattern: Range<u32>,
    any: Range<u32>,
    positions: Box<[u32]>,
}

impl GrpcIndex {
    /// `positions` ascend, without repeats.
    pub fn build(positions: &[u32], candidates: &[Candidate]) -> Self {
        use ValueTest::{Exact, Regex};
        let (mut calls, mut services, mut methods) = (Vec::new(), Vec::new(), Vec::new());
        let (mut service_patterns, mut method_patterns, mut any) = (Vec::new(), Vec::new(), Vec::new());
        for &position in positions {
            let Target::Grpc { service, method } = &candidates[position as usize].target else { continue };
            match (service, method) {
                (Some(Exact(service)), Some(Exact(method))) => {
                    calls.push((Arc::from(format!("/{service}/{method}")), position));
                }
                (Some(Exact(service)), None) => services.push((Arc::from(&**service), position)),
                (None, Some(Exact(method))) => methods.push((Arc::from(&**method), position)),
                (None, Some(Regex(_))) => method_patterns.push(position),
                (None, None) => any.push(position),
                (Some(_), _) => service_patterns.push(position),
            }
        }
        let mut slots = Slots::default();
        Self {
            call: slots.group(by_reference(&calls)),
            service: slots.group(by_reference(&services)),
            method: slots.group(by_reference(&methods)),
            service_pattern: slots.append(&service_patterns),
            method_pattern: slots.append(&method_patterns),
            any: slots.append(&any),
            positions: slots.positions.into(),
        }
    }

    /// The candidates for `path`, best first, one slice for each way to name it. `true` where a pattern is
    /// still to be tried.
    #[inline]
    pub fn slices(&self, path: &str) -> [(&[u32], bool); 6] {
        let Some((service, method)) = split_grpc(path) else {
            let mut slices: [(&[u32], bool); 6] = [(&[], false); 6];
            slices[5].0 = self.slice(&self.any);
            return slices;
        };
        [
            (self.get(&self.call, path), false),
            (self.get(&self.service, service), false),
            (self.slice(&self.service_pattern), true),
            (self.get(&self.method, method), false),
            (self.slice(&self.method_pattern), true),
            (self.slice(&self.any), false),
        ]
    }

    /// Every candidate, in no particular order.
    pub fn all(&self) -> &[u32] {
        &self.positions
    }

    #[inline]
    fn get(&self, map: &FastMap<Arc<str>, Range<u32>>, key: &str) -> &[u32] {
        map.get(key).map_or(&[], |range| self.slice(range))
    }

    #[inline]
    fn slice(&self, range: &Range<u32>) -> &[u32] {
        &self.positions[range.start as usize..range.end as usize]
    }
}

fn by_reference(keyed: &[(Arc<str>, u32)]) -> Vec<(&Arc<str>, u32)> {
    keyed.iter().map(|(key, position)| (key, *position)).collect()
}
