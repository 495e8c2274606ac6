//! Which endpoint an exchange goes to.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use sekisho_upstream::Want;

use crate::support::{Server, Worker, on_worker, open, release};

async fn servers(count: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Server::start().await);
    }
    servers
}

fn worker_with(servers: &[Server]) -> Worker {
    Worker::serving("b", &servers.iter().map(|server| server.address).collect::<Vec<_>>())
}

#[test]
fn held_exchanges_spread_evenly_over_the_endpoints() {
    on_worker(async {
        let servers = servers(4).await;
        let worker = worker_with(&servers);
        let backend = worker.backend("b");
        let mut held = Vec::new();
        for _ in 0..80 {
            held.push(open(&backend, Want::Any).await);
        }
        assert_eq!(backend.in_flight(), 80);
        for endpoint in backend.endpoints() {
            assert!((17..=23).contains(&endpoint.in_flight()), "{endpoint:?}");
        }
    });
}

#[test]
fn of_two_endpoints_the_one_with_less_in_flight_is_taken() {
    on_worker(async {
        let servers = servers(2).await;
        let worker = worker_with(&servers);
        let backend = worker.backend("b");
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(open(&backend, Want::Any).await);
        }
        assert_eq!([5, 5], [backend.endpoints()[0].in_flight(), backend.endpoints()[1].in_flight()]);
    });
}

#[test]
fn idle_endpoints_share_the_work_at_random() {
    on_worker(async {
        let servers = servers(4).await;
        let worker = worker_with(&servers);
        let backend = worker.backend("b");
        let mut taken: HashMap<Rc<str>, u32> = HashMap::new();
        for _ in 0..800 {
            let lease = open(&backend, Want::Any).await;
            *taken.entry(lease.endpoint.label().clone()).or_default() += 1;
            release(&backend, lease);
        }
        assert_eq!(taken.len(), 4);
        assert!(taken.values().all(|count| (150..=250).contains(count)), "{taken:?}");
        assert_eq!(backend.counters().connections_opened, 4, "one connection each is enough");
    });
}

#[test]
fn an_endpoint_to_avoid_is_avoided_while_there_is_another() {
    on_worker(async {
        for count in [2, 3, 5] {
            let servers = servers(count).await;
            let worker = worker_with(&servers);
            let backend = worker.backend("b");
            let mut seen = std::collections::HashSet::new();
            for avoided in backend.endpoints() {
                for _ in 0..40 {
                    let lease =
                        backend.open(Want::Any, Some(avoided), false, Duration::ZERO).await.expect("a connection");
                    assert!(!Rc::ptr_eq(lease.endpoint.handle(), avoided));
                    seen.insert(lease.endpoint.label().clone());
                    release(&backend, lease);
                }
            }
            assert_eq!(seen.len(), count, "avoiding one leaves none of the others out");
        }
    });
}

#[test]
fn the_only_endpoint_is_used_even_when_it_is_to_be_avoided() {
    on_worker(async {
        let servers = servers(1).await;
        let worker = worker_with(&servers);
        let backend = worker.backend("b");
        let avoided = backend.endpoints()[0].clone();
        backend.open(Want::Any, Some(&avoided), false, Duration::ZERO).await.expect("a connection");
    });
}

#[test]
fn an_exchange_counts_until_its_lease_ends() {
    on_worker(async {
        let servers = servers(1).await;
        let worker = worker_with(&servers);
        let backend = worker.backend("b");
        let lease = open(&backend, Want::Any).await;
        assert_eq!((backend.in_flight(), backend.counters().in_flight), (1, 1));
        release(&backend, lease);
        assert_eq!(backend.in_flight(), 0);
        let lease = backend.reuse(Want::Any, None).expect("the pooled connection");
        assert_eq!((backend.in_flight(), lease.endpoint.in_flight()), (1, 1));
        drop(lease);
        assert_eq!(backend.in_flight(), 0);
    });
}
