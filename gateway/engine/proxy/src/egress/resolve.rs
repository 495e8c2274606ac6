//! Names, resolved once for each connection and remembered for as long as their servers say.
//!
//! Bounded: so many names are remembered and so many are asked for at once, whatever clients think of. Only names that
//! a policy allows come here. What failed is remembered for a moment as well. An answer that has run out is never used.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_table::NameServer;
use tokio::sync::{Mutex, Semaphore};

use super::name_server;
use super::over_tls::{Authorities, SecuredServers, Trouble};

const MAX_NAMES: usize = 4096;
const MAX_LOOKUPS: usize = 64;
/// The system's resolver does not say how long its answers hold.
const SYSTEM_ANSWER: Duration = Duration::from_secs(5);
const FAILURE: Duration = Duration::from_secs(1);
/// What holds for less would be asked for by every connection.
const SHORTEST: Duration = Duration::from_secs(1);

pub type Answer = Result<Rc<[IpAddr]>, Failed>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The name has no address, or nobody said in time.
    Unresolved,
    /// The servers to ask did not prove to be those that were named.
    Untrusted,
}

/// A worker's names.
#[derive(Default)]
pub struct Resolvers {
    entries: RefCell<HashMap<Key, Rc<Entry>>>,
    lookups: Lookups,
    secured: SecuredServers,
}

struct Lookups(Semaphore);

impl Default for Lookups {
    fn default() -> Self {
        Self(Semaphore::new(MAX_LOOKUPS))
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Box<str>,
    servers: Arc<[NameServer]>,
}

#[derive(Default)]
struct Entry {
    answer: RefCell<Option<(Answer, Instant)>>,
    /// One lookup at a time for a name; the others wait for its answer.
    asking: Mutex<()>,
}

impl Entry {
    fn fresh(&self) -> Option<Answer> {
        let answer = self.answer.borrow();
        answer.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(answer, _)| answer.clone())
    }
}

impl Resolvers {
    /// `authorities`: what name servers with TLS are verified by.
    pub fn new(authorities: Arc<Authorities>) -> Self {
        Self { secured: SecuredServers::new(authorities), ..Self::default() }
    }

    /// The addresses of a name, never an empty list.
    pub async fn lookup(&self, name: &str, servers: &Arc<[NameServer]>, bound: Duration) -> Answer {
        let entry = self.entry(Key { name: name.into(), servers: servers.clone() });
        if let Some(answer) = entry.fresh() {
            return answer;
        }
        let bound = if bound.is_zero() { Duration::from_secs(30) } else { bound };
        let asked = async {
            let _asking = entry.asking.lock().await;
            if let Some(answer) = entry.fresh() {
                return answer;
            }
            let Ok(_permit) = self.lookups.0.acquire().await else { return Err(Failed::Unresolved) };
            let found = if servers.is_empty() {
                system(name).await.map_err(|_| Trouble::Unanswered)
            } else {
                name_server::lookup(name, servers, &self.secured).await
            };
            let (answer, holds) = match found {
                Ok((addresses, holds)) if !addresses.is_empty() => (Ok(Rc::from(addresses)), holds.max(SHORTEST)),
                Ok(_) | Err(Trouble::Unanswered) => (Err(Failed::Unresolved), FAILURE),
                Err(Trouble::Untrusted) => (Err(Failed::Untrusted), FAILURE),
            };
            *entry.answer.borrow_mut() = Some((answer.clone(), Instant::now() + holds));
            answer
        };
        match tokio::time::timeout(bound, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                *entry.answer.borrow_mut() = Some((Err(Failed::Unresolved), Instant::now() + FAILURE));
                Err(Failed::Unresolved)
            }
        }
    }

    fn entry(&self, key: Key) -> Rc<Entry> {
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.get(&key) {
            return entry.clone();
        }
        if entries.len() >= MAX_NAMES {
            entries.retain(|_, entry| entry.fresh().is_some() || Rc::strong_count(entry) > 1);
            // All are in use: the table starts anew rather than grow.
            if entries.len() >= MAX_NAMES {
                entries.clear();
            }
        }
        entries.entry(key).or_default().clone()
    }
}

/// The operating system's resolver. A name with a dot is whole: domains to search in are not tried after it.
async fn system(name: &str) -> io::Result<(Vec<IpAddr>, Duration)> {
    let rooted = if name.contains('.') { format!("{name}.") } else { name.to_owned() };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in tokio::net::lookup_host((rooted.as_str(), 0)).await? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    Ok((addresses, SYSTEM_ANSWER))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::UdpSocket;

    use super::*;

    fn nobody() -> Arc<[NameServer]> {
        Arc::from([NameServer::plain(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))])
    }

    #[test]
    fn a_flood_of_distinct_names_does_not_grow_the_memory() {
        let resolvers = Resolvers::default();
        for number in 0..3 * MAX_NAMES {
            let name = format!("n{number}.example").into();
            let entry = resolvers.entry(Key { name, servers: nobody() });
            *entry.answer.borrow_mut() = Some((Err(Failed::Unresolved), Instant::now() + Duration::from_secs(600)));
        }
        assert!(resolvers.entries.borrow().len() <= MAX_NAMES);
    }

    #[tokio::test]
    async fn who_does_not_answer_is_given_up_in_time_and_remembered_for_a_moment() {
        // It takes every question and says nothing.
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let servers: Arc<[NameServer]> = Arc::from([NameServer::plain(silent.local_addr().expect("an address"))]);
        let resolvers = Resolvers::default();
        let began = Instant::now();
        let bound = Duration::from_millis(100);
        assert_eq!(resolvers.lookup("slow.example", &servers, bound).await, Err(Failed::Unresolved));
        assert_eq!(resolvers.lookup("slow.example", &servers, bound).await, Err(Failed::Unresolved));
        assert!(began.elapsed() < Duration::from_secs(1));
        let mut asked = 0;
        let mut scratch = [0; 512];
        while silent.try_recv(&mut scratch).is_ok() {
            asked += 1;
        }
        assert!(asked <= 2, "one question for each family: {asked}");
    }

    #[tokio::test]
    async fn many_who_ask_for_one_name_ask_once() {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let servers: Arc<[NameServer]> = Arc::from([NameServer::plain(silent.local_addr().expect("an address"))]);
        let resolvers = Resolvers::default();
        let lookups = (0..50).map(|_| resolvers.lookup("slow.example", &servers, Duration::from_millis(100)));
        let answers = futures_util::future::join_all(lookups).await;
        assert!(answers.iter().all(|answer| *answer == Err(Failed::Unresolved)));
        let mut asked = 0;
        let mut scratch = [0; 512];
        while silent.try_recv(&mut scratch).is_ok() {
            asked += 1;
        }
        assert!(asked <= 2, "{asked}");
    }
}
