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
