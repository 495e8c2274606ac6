//! The control side: what the table asks for and cannot have.

use std::net::TcpListener;

use serde_json::json;

use crate::support::{Backend, GET, Gateway, OK, Setup};

#[test]
fn a_port_that_is_taken_costs_its_listener_alone_and_is_bound_when_it_is_free() {
    let backend = Backend::answering(|_, _| OK.to_owned());
    let setup = Setup::with(&[backend.address]);
    let gateway = Gateway::start(&setup);
    let stranger = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut resources = setup.resources(gateway.address);
    let taken = stranger.local_addr().expect("address").port();
    resources["listeners"].as_array_mut().expect("a list").push(json!({
        "key": "default/edge/second", "gateway": "default/edge", "address": "127.0.0.1",
        "port": 81, "bind_port": taken, "protocol": "HTTP",
    }));
    let bound = |applied: &serde_json::Value| {
        let states = applied["listeners"].as_array().expect("a list").clone();
        states.iter().map(|state| (state["key"].clone(), state["bound"].clone())).collect::<Vec<_>>()
    };
    let (second, web) = (json!("default/edge/second"), json!("default/edge/web"));
    let applied = gateway.apply(&resources);
    assert_eq!(bound(&applied), [(second.clone(), json!(false)), (web.clone(), json!(true))], "{applied}");
    drop(stranger);
    assert_eq!(bound(&gateway.apply(&resources)), [(second, json!(true)), (web, json!(true))]);
    let mut client = gateway.client();
    client.send(GET);
    assert_eq!(client.response().0, 200);
}

#[test]
fn an_engine_that_was_closed_still_answers() {
    let setup = Setup::with(&[]);
    let gateway = Gateway::start(&setup);
    gateway.engine.close();
    gateway.engine.close();
    let applied = gateway.apply(&setup.resources(gateway.address));
    assert_eq!(applied["listeners"][0]["bound"], false);
    assert!(applied["error"].as_str().is_some_and(|error| error.starts_with("0 of 1 workers")), "{applied}");
    assert_eq!(gateway.statistics()["workers"], 0);
    assert_eq!(gateway.engine.active(), 0);
}
