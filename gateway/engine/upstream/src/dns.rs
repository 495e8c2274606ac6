//! Name resolution, remembered for a moment on each worker.
//!
//! An answer serves for five seconds and a failure for one, so that a dead resolver is asked once a
//! second and not once a connection. When a name stops resolving its last answer keeps serving.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

const ANSWER_SERVES: Duration = Duration::from_secs(5);
const FAILURE_SERVES: Duration = Duration::from_secs(1);
/// A name nobody asked for in this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Looks a name up; a trait so that tests can answer.
pub trait Resolve {
    fn resolve(&self, host: Arc<str>) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>>;
}

/// The operating system's resolver.
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: Arc<str>) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_ref(), 0)).await?;
            let mut addresses: Vec<IpAddr> = Vec::new();
            for socket_address in found {
                if !addresses.contains(&socket_address.ip()) {
                    addresses.push(socket_address.ip());
                }
            }
            Ok(addresses)
        })
    }
}

pub(crate) struct DnsCache {
    resolver: Rc<dyn Resolve>,
    entries: RefCell<HashMap<Arc<str>, Rc<Entry>>>,
}

type Answer = Result<Rc<[IpAddr]>, Rc<str>>;

#[derive(Default)]
struct Entry {
    remembered: RefCell<Option<Remembered>>,
    /// One lookup at a time for a name; the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Remembered {
    answer: Answer,
    until: Instant,
}

impl DnsCache {
    pub(crate) fn new(resolver: Rc<dyn Resolve>) -> Self {
        Self { resolver, entries: RefCell::default() }
    }

    /// The addresses of `host`, never an empty list.
    pub(crate) async fn lookup(&self, host: &Arc<str>) -> Answer {
        let entry = self.entries.borrow_mut().entry(host.clone()).or_default().clone();
        if let Some(answer) = entry.fresh_answer() {
            return answer;
        }
        let _asking = entry.asking.lock().await;
        if let Some(answer) = entry.fresh_answer() {
            return answer;
        }
        let found = self.resolver.resolve(host.clone()).await;
        entry.remember(host, found)
    }

    /// Forgets names that have not been asked for in a long time.
    pub(crate) fn sweep(&self) {
        let mut entries = self.entries.borrow_mut();
        if !entries.is_empty() {
            let now = Instant::now();
            entries.retain(|_, entry| {
                let remembered = entry.remembered.borrow();
                remembered.as_ref().is_none_or(|remembered| remembered.until + FORGOTTEN_AFTER > now)
            });
        }
    }
}

impl Entry {
    fn fresh_answer(&self) -> Option<Answer> {
        let remembered = self.remembered.borrow();
        remembered.as_ref().filter(|remembered| Instant::now() < remembered.until).map(|known| known.answer.clone())
    }

    fn remember(&self, host: &str, found: io::Result<Vec<IpAddr>>) -> Answer {
        let reason = match found {
            Ok(addresses) if !addresses.is_empty() => {
                let answer = Ok(Rc::from(addresses));
                self.set(&answer, ANSWER_SERVES);
                return answer;
            }
            Ok(_) => format!("the name {host} has no address"),
            Err(error) => format!("the name {host} cannot be resolved: {error}"),
        };
        let stale = self.remembered.borrow().as_ref().and_then(|remembered| remembered.answer.clone().ok());
        let answer = stale.ok_or_else(|| Rc::from(reason));
        self.set(&answer, FAILURE_SERVES);
        answer
    }

    fn set(&self, answer: &Answer, serves: Duration) {
        *self.remembered.borrow_mut() = Some(Remembered { answer: answer.clone(), until: Instant::now() + serves });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Answers with what the test says, once it lets the question through.
    #[derive(Default)]
    struct Script {
        asked: Cell<usize>,
        answer: RefCell<Option<Vec<IpAddr>>>,
    }

    impl Resolve for Script {
        fn resolve(&self, _host: Arc<str>) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>> {
            self.asked.set(self.asked.get() + 1);
            let answer = self.answer.borrow().clone();
            Box::pin(async move {
                tokio::task::yield_now().await;
                answer.ok_or_else(|| io::Error::other("the resolver is down"))
            })
        }
    }

    fn cache() -> (Rc<Script>, DnsCache) {
        let script = Rc::new(Script::default());
        (script.clone(), DnsCache::new(script))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    async fn later(milliseconds: u64) {
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_for_five_seconds() {
        let (script, cache) = cache();
        let host = Arc::from("a.test");
        *script.answer.borrow_mut() = Some(vec![address(1)]);
        assert_eq!(cache.lookup(&host).await.as_deref(), Ok(&[address(1)][..]));
        *script.answer.borrow_mut() = Some(vec![address(2)]);
        later(4_999).await;
        assert_eq!(cache.lookup(&host).await.as_deref(), Ok(&[address(1)][..]));
        later(1).await;
        assert_eq!(cache.lookup(&host).await.as_deref(), Ok(&[address(2)][..]));
        assert_eq!(script.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_serves_for_one_second_and_names_the_host() {
        let (script, cache) = cache();
        let host = Arc::from("a.test");
        let reason = cache.lookup(&host).await.expect_err("down");
        assert_eq!(&*reason, "the name a.test cannot be resolved: the resolver is down");
        *script.answer.borrow_mut() = Some(vec![address(1)]);
        later(999).await;
        cache.lookup(&host).await.expect_err("still remembered");
        later(1).await;
        cache.lookup(&host).await.expect("asked again");
        assert_eq!(script.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_keeps_serving_when_the_resolver_fails() {
        let (script, cache) = cache();
        let host = Arc::from("a.test");
        *script.answer.borrow_mut() = Some(vec![address(1)]);
        cache.lookup(&host).await.expect("an answer");
        for failure in [None, Some(Vec::new())] {
            *script.answer.borrow_mut() = failure;
            later(5_000).await;
            assert_eq!(cache.lookup(&host).await.as_deref(), Ok(&[address(1)][..]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn questions_for_one_name_at_one_time_are_asked_once() {
        let (script, cache) = cache();
        let host = Arc::from("a.test");
        *script.answer.borrow_mut() = Some(vec![address(1)]);
        let answers = tokio::join!(cache.lookup(&host), cache.lookup(&host), cache.lookup(&host));
        assert!(answers.0.is_ok() && answers.1.is_ok() && answers.2.is_ok());
        assert_eq!(script.asked.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_given_up_does_not_block_the_next() {
        let (script, cache) = cache();
        let host = Arc::from("a.test");
        *script.answer.borrow_mut() = Some(vec![address(1)]);
        assert!(futures_util::FutureExt::now_or_never(cache.lookup(&host)).is_none(), "it waits for the resolver");
        cache.lookup(&host).await.expect("an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_asks_for_is_forgotten() {
        let (script, cache) = cache();
        let host = Arc::from("a.test");
        *script.answer.borrow_mut() = Some(vec![address(1)]);
        cache.lookup(&host).await.expect("an answer");
        cache.sweep();
        assert_eq!(cache.entries.borrow().len(), 1);
        later(700_000).await;
        cache.sweep();
        assert!(cache.entries.borrow().is_empty());
    }
}
