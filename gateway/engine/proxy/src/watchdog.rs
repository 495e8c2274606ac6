//! A deadline that moves often and fires rarely.
//!
//! Every byte that moves pushes the idle deadline out; re-arming a timer each time would cost more
//! than the byte. So the timer stays armed for the earliest deadline it was ever given, and when it
//! fires early it is armed again for the present one.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Farther than any connection lives; stands for "no deadline".
const NEVER: Duration = Duration::from_secs(30 * 86_400);

/// One timer, kept by a connection or a stream for its whole life.
#[derive(Debug, Default)]
pub struct Watchdog {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Watchdog {
    /// Ready when `deadline` has passed. The caller's task is woken at the latest then.
    pub fn poll_expired(&mut self, context: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        let target = tokio::time::Instant::from_std(deadline);
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if sleep.deadline() > target {
                    sleep.as_mut().reset(target);
                }
                sleep
            }
            None => self.sleep.insert(Box::pin(tokio::time::sleep_until(target))),
        };
        while sleep.as_mut().poll(context).is_ready() {
            if tokio::time::Instant::now() >= target {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(target);
        }
        Poll::Pending
    }
}

/// `now + milliseconds`, or `None` where zero stands for "no bound".
pub fn after(now: Instant, milliseconds: u64) -> Option<Instant> {
    (milliseconds > 0).then(|| now + Duration::from_millis(milliseconds).min(NEVER))
}

/// The earlier of two optional deadlines.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
