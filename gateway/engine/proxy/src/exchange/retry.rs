//! Whether a failed attempt is made again (GEP-1731, RFC 9110 9.2.2). Pure.

use std::time::Duration;

use http::Method;

use crate::plan::PlannedRetry;

/// Attempts made again although no rule asks for it, because the backend has not seen the request.
const MAX_TRANSPARENT: u32 = 3;

/// How an attempt failed, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// No connection was made: nothing was sent.
    Connect,
    /// A kept-alive connection ended before the first byte of an answer.
    Stale,
    /// The backend said that it did not process the request (HTTP/2 REFUSED_STREAM, GOAWAY).
    Refused,
    /// The connection ended or the answer was broken.
    Reset,
    /// `backendRequest` ran out.
    Timeout,
    /// An answer with this status.
    Status(u16),
}

/// What was tried so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    pub counted: u32,
    pub transparent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    GiveUp,
    /// `counted`: against the rule's attempts, after its back-off.
    Again {
        after: Duration,
        counted: bool,
    },
}

/// `replayable`: the whole of the request that was consumed can be sent again.
pub fn decide(policy: Option<&PlannedRetry>, failed: Failed, method: &Method, replayable: bool, tries: Tries) -> Next {
    if !replayable {
        return Next::GiveUp;
    }
    let unseen = match failed {
        Failed::Connect | Failed::Refused => true,
        Failed::Stale => is_idempotent(method),
        Failed::Reset | Failed::Timeout | Failed::Status(_) => false,
    };
    // A rule's own retries come first where it has them for this failure: they respect its back-off.
    let configured = policy.filter(|policy| match failed {
        Failed::Status(status) => policy.codes.contains(&status),
        Failed::Connect | Failed::Reset | Failed::Timeout => true,
        Failed::Stale | Failed::Refused => !unseen,
    });
    if let Some(policy) = configured {
        if tries.counted < policy.attempts {
            return Next::Again { after: policy.backoff, counted: true };
        }
        return Next::GiveUp;
    }
    if unseen && tries.transparent < MAX_TRANSPARENT {
        return Next::Again { after: Duration::ZERO, counted: false };
    }
    Next::GiveUp
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PlannedRetry {
        PlannedRetry { codes: vec![503], attempts: 2, backoff: Duration::from_millis(50) }
    }

    const COUNTED: Next = Next::Again { after: Duration::from_millis(50), counted: true };
    const AT_ONCE: Next = Next::Again { after: Duration::ZERO, counted: false };

    #[test]
    fn decisions() {
        let policy = policy();
        let none = Tries::default();
        let spent = Tries { counted: 2, transparent: MAX_TRANSPARENT };
        for (case, with_policy, failed, method, replayable, tries, want) in [
            ("a listed status", true, Failed::Status(503), Method::POST, true, none, COUNTED),
            ("an unlisted status", true, Failed::Status(500), Method::GET, true, none, Next::GiveUp),
            ("attempts are spent", true, Failed::Status(503), Method::GET, true, spent, Next::GiveUp),
            ("the body is gone", true, Failed::Status(503), Method::GET, false, none, Next::GiveUp),
            ("connect, with a policy", true, Failed::Connect, Method::POST, true, none, COUNTED),
            ("connect, policy spent", true, Failed::Connect, Method::POST, true, spent, Next::GiveUp),
            ("connect, without", false, Failed::Connect, Method::POST, true, none, AT_ONCE),
            ("connect, without, again and again", false, Failed::Connect, Method::GET, true, spent, Next::GiveUp),
            ("stale GET", false, Failed::Stale, Method::GET, true, none, AT_ONCE),
            ("stale POST may have been processed", false, Failed::Stale, Method::POST, true, none, Next::GiveUp),
            ("stale POST with a policy", true, Failed::Stale, Method::POST, true, none, COUNTED),
            ("refused POST was not processed", false, Failed::Refused, Method::POST, true, none, AT_ONCE),
            ("reset without a policy", false, Failed::Reset, Method::GET, true, none, Next::GiveUp),
            ("reset with a policy", true, Failed::Reset, Method::GET, true, none, COUNTED),
            ("timeout with a policy", true, Failed::Timeout, Method::GET, true, none, COUNTED),
        ] {
            let policy = with_policy.then_some(&policy);
            assert_eq!(decide(policy, failed, &method, replayable, tries), want, "{case}");
        }
    }
}
