//! A deadline that moves often and fires rarely.
//!
//! Every byte that moves pushes the idle deadline out; re-arming a timer each time would cost more
//! than the byte. So the timer stays armed for the earliest deadline it was ever given, and when it
//! fires early it is armed again for the present one.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Farther than any connection lives; stands for "no deadline".
const NEVER: Duration = Duration::from_secs(30 * 86_400);

/// One timer, kept by a connection or a stream for its whole life.
#[derive(Debug, Default)]
pub struct Watchdog {
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// Whom the timer wakes, as far as it is certain to.
    task: Option<Waker>,
}

impl Armed {
    fn new(deadline: tokio::time::Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(deadline)), task: None }
    }

    /// The timer has been told everything already, and has nothing to tell.
    fn stands(&self, context: &Context<'_>, deadline: tokio::time::Instant) -> bool {
        let will_wake = self.task.as_ref().is_some_and(|task| task.will_wake(context.waker()));
        will_wake && self.sleep.deadline() <= deadline && !self.sleep.is_elapsed()
    }

    fn poll_expired(&mut self, context: &mut Context<'_>, deadline: tokio::time::Instant) -> Poll<()> {
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        while self.sleep.as_mut().poll(context).is_ready() {
            if tokio::time::Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        // A task that has used up its turn is woken for another, and the timer was not asked.
        self.task = tokio::task::coop::has_budget_remaining().then(|| context.waker().clone());
        Poll::Pending
    }
}

impl Watchdog {
    /// Ready when `deadline` has passed. The caller's task is woken at the latest then.
    pub fn poll_expired(&mut self, context: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline.map(tokio::time::Instant::from_std) else {
            return Poll::Pending;
        };
        let armed = self.armed.get_or_insert_with(|| Armed::new(deadline));
        if armed.stands(context, deadline) {
            return Poll::Pending;
        }
        armed.poll_expired(context, deadline)
    }
}

/// When something last moved. The clock is read when somebody asks, which is before a wait, not for each move.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    last: Instant,
    moved: bool,
}

impl Activity {
    pub fn new(last: Instant) -> Self {
        Self { last, moved: false }
    }

    pub fn note(&mut self) {
        self.moved = true;
    }

    pub fn last(&mut self) -> Instant {
        if std::mem::take(&mut self.moved) {
            self.last = Instant::now();
        }
        self.last
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
