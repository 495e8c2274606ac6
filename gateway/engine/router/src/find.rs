//! The walk from a request to its route.
//!
//! [`Router::find`] and the explanation run this same code; what they note on the way is the [`Recorder`]'s.

use std::sync::Arc;

use crate::candidate::{Failed, is_grpc};
use crate::{Attached, Candidate, Decision, ListenerId, RequestView, Router, SocketId};

/// Told of everything that is tried, in the order in which it is tried.
pub trait Recorder<'r> {
    fn tried(&mut self, hostname: &'r str, candidate: &'r Candidate, failed: Option<Failed>);
}

/// Notes nothing, and costs nothing.
pub struct NoRecorder;

impl Recorder<'_> for NoRecorder {
    #[inline(always)]
    fn tried(&mut self, _: &str, _: &Candidate, _: Option<Failed>) {}
}

impl Router {
    /// Decides where a request goes. Allocates only to join a repeated header that a pattern looks at, or to decode
    /// a query parameter for one.
    #[inline]
    pub fn find(&self, socket: SocketId, request: &RequestView<'_>) -> Decision {
        self.find_with(socket, request, &mut NoRecorder)
    }

    pub(crate) fn find_with<'r, R: Recorder<'r>>(
        &'r self,
        socket: SocketId,
        request: &RequestView<'_>,
        recorder: &mut R,
    ) -> Decision {
        let Some(listener) = self.owner(socket, request.host) else { return Decision::NoRoute { listener: None } };
        if request.tls && request.sni != Some(request.host) {
            let chosen = self.owner(socket, request.sni.unwrap_or_default());
            if chosen != Some(listener) {
                return Decision::Misdirected { listener };
            }
        }
        match self.candidate(listener, request, recorder) {
            Some(Candidate { route, rule_match, .. }) => {
                Decision::Matched { listener, route: *route, rule_match: *rule_match }
            }
            None => Decision::NoRoute { listener: Some(listener) },
        }
    }

    /// The listener of a socket that a host belongs to.
    #[inline]
    pub(crate) fn owner(&self, socket: SocketId, host: &str) -> Option<ListenerId> {
        let owners = self.owners.get(socket.0 as usize)?;
        owners.covering(host).next().map(|entry| entry.value)
    }

    fn candidate<'r, R: Recorder<'r>>(
        &'r self,
        listener: ListenerId,
        request: &RequestView<'_>,
        recorder: &mut R,
    ) -> Option<&'r Candidate> {
        let attached = &self.attached[listener.0 as usize];
        if !attached.grpc.is_empty()
            && is_grpc(request.headers)
            && let Some(found) = self.grpc_candidate(attached, request, recorder)
        {
            return Some(found);
        }
        self.http_candidate(attached, request, recorder)
    }

    fn http_candidate<'r, R: Recorder<'r>>(
        &'r self,
        attached: &'r Attached,
        request: &RequestView<'_>,
        recorder: &mut R,
    ) -> Option<&'r Candidate> {
        for entry in attached.http.covering(request.host) {
            let index = &entry.value;
            let mut attempt = Attempt { hostname: &entry.hostname, request, recorder };
            let found = attempt
                .first(index.exact(request.path), false)
                .or_else(|| attempt.first(index.regex(), true))
                .or_else(|| index.prefixes(request.path).find_map(|candidates| attempt.first(candidates, false)));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn grpc_candidate<'r, R: Recorder<'r>>(
        &'r self,
        attached: &'r Attached,
        request: &RequestView<'_>,
        recorder: &mut R,
    ) -> Option<&'r Candidate> {
        for entry in attached.grpc.covering(request.host) {
            let mut attempt = Attempt { hostname: &entry.hostname, request, recorder };
            let slices = entry.value.slices(request.path);
            let found = slices.into_iter().find_map(|(candidates, by_pattern)| attempt.first(candidates, by_pattern));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

struct Attempt<'r, 'a, R> {
    hostname: &'r str,
    request: &'a RequestView<'a>,
    recorder: &'a mut R,
}

impl<'r, R: Recorder<'r>> Attempt<'r, '_, R> {
    /// The first candidate that takes the request. With `by_pattern` the index has not settled the target.
    #[inline]
    fn first(&mut self, candidates: &'r [Arc<Candidate>], by_pattern: bool) -> Option<&'r Candidate> {
        candidates.iter().map(|candidate| &**candidate).find(|candidate| {
            let failed = if by_pattern && !candidate.target.accepts(self.request.path) {
                Some(Failed::Target)
            } else {
                candidate.failed(self.request)
            };
            self.recorder.tried(self.hostname, candidate, failed);
            failed.is_none()
        })
    }
}
