//! Clients and backends that do whatever comes to their minds: nothing is lost, held or left behind.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use crate::http2;
use crate::support::{Backend, Client, GET, Gateway, OK, Setup, until};

const CLIENTS: u64 = 6;
const TURNS: usize = 80;

fn requests() -> Vec<Vec<u8>> {
    let fields = "host: shop.test\r\n";
    let upgrade = format!("GET /ws HTTP/1.1\r\n{fields}connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    let content = "x".repeat(20_000);
    [
        format!("GET / HTTP/1.1\r\n{fields}\r\n"),
        format!("HEAD / HTTP/1.0\r\n{fields}\r\n"),
        format!("GET / HTTP/1.0\r\n{fields}\r\n"),
        format!("GET /a HTTP/1.1\r\n{fields}\r\n").repeat(5),
        format!("POST / HTTP/1.1\r\n{fields}content-length: 20000\r\n\r\n{content}"),
        format!(
            "POST / HTTP/1.1\r\n{fields}transfer-encoding: chunked\r\n\r\n4e20\r\n{content}\r\n0\r\nx-sum: 1\r\n\r\n"
        ),
        format!("POST / HTTP/1.1\r\n{fields}expect: 100-continue\r\ncontent-length: 5\r\n\r\nhello"),
        format!("POST / HTTP/1.1\r\n{fields}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nXX\r\n"),
        format!("{upgrade}and on\n"),
        format!("GET /../.. HTTP/1.1\r\n{fields}{fields}\r\n"),
        "\0\x01nonsense\r\n\r\n".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn answers() -> Vec<Vec<u8>> {
    [
        OK.to_owned(),
        OK.to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{}", "y".repeat(200_000)),
        "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 503 X\r\ncontent-length: 5\r\n\r\nsorry".to_owned(),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n{OK}"),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\n\r\nuntil the end".to_owned(),
        format!("{OK}{OK}"),
        "nonsense\r\n\r\n".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// All of `bytes`, or a part of them.
fn some_of<'a>(bytes: &'a [u8], random: &mut fastrand::Rng) -> &'a [u8] {
    if random.u8(..) < 150 { bytes } else { &bytes[..random.usize(..bytes.len())] }
}

fn capricious(seed: u64) -> Backend {
    let answers = answers();
    Backend::start(move |mut peer, number| {
        let mut random = fastrand::Rng::with_seed(seed + u64::from(number));
        peer.resign_after(Duration::from_millis(400));
        while let Some(head) = peer.read_head() {
            if random.bool() {
                peer.read_content(&head);
            }
            std::thread::sleep(Duration::from_micros(random.u64(..3000)));
            let answer = &answers[random.usize(..answers.len())];
            let part = some_of(answer, &mut random);
            peer.send(part);
            if part.len() < answer.len() || random.u8(..) < 30 {
                return;
            }
        }
    })
}

fn disturb(address: std::net::SocketAddr, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let requests = requests();
    for _ in 0..TURNS {
        let mut client = Client::connect(address);
        for _ in 0..random.usize(1..4) {
            client.send(some_of(&requests[random.usize(..requests.len())], &mut random));
            match random.u8(..4) {
                0 => std::thread::sleep(Duration::from_micros(random.u64(..8000))),
                1 => {
                    client.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
                    // Whatever comes, or nothing.
                    let _ = std::io::Read::read(&mut client.stream, &mut [0; 2048]);
                }
                _ => {}
            }
        }
        if random.bool() {
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
        }
    }
}

/// The access log, when nothing is under way any more.
fn settled(gateway: &Gateway) -> Vec<serde_json::Value> {
    until(|| gateway.engine.active() == 0);
    until(|| {
        let statistics = gateway.statistics();
        let backends = statistics["backends"].as_array().expect("a list");
        backends.iter().all(|backend| backend["in_flight"] == 0) && statistics["connections"]["active"] == 0
    });
    let lines = gateway.log(gateway.counted() as usize);
    let unexplained: Vec<_> = lines.iter().filter(|line| line["response_code"] == 0).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    lines
}

#[test]
fn nothing_is_lost_held_or_left_behind() {
    let (backend, mirror) = (capricious(1), capricious(1_000_000));
    let route = json!({
        "retry": {"codes": [503], "attempts": 2, "backoff_ms": 1},
        "timeouts": {"request_ms": 1000, "backend_request_ms": 300},
    });
    let limits =
        json!({"request_head_timeout_ms": 500, "connection_idle_timeout_ms": 500, "replay_buffer_bytes": 8192});
    let setup = Setup::with(&[backend.address]).mirror(mirror.address).route(route).limits(limits).workers(1);
    let gateway = Gateway::start(&setup);
    let address = gateway.address;
    let clients: Vec<_> = (0..CLIENTS).map(|seed| std::thread::spawn(move || disturb(address, seed))).collect();
    let resources = setup.resources(address);
    while clients.iter().any(|client| !client.is_finished()) {
        // The table changes all the while, without a change.
        assert_eq!(gateway.apply(&resources)["rejected"], json!([]));
        std::thread::sleep(Duration::from_millis(10));
    }
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
    let lines = settled(&gateway);
    assert!(lines.len() > 300, "{} requests", lines.len());
    let mut client = gateway.client();
    client.send(GET);
    assert!(client.read_head().is_some());
}

/// One stream, given up at any moment.
async fn disturb_stream(mut client: h2::client::SendRequest<Bytes>, mut random: fastrand::Rng) -> Option<()> {
    let request = Request::post("http://shop.test/a").body(()).expect("a request");
    let (response, mut stream) = client.send_request(request, random.u8(..) < 60).ok()?;
    if random.bool() {
        // The stream may have been answered, and ended, already.
        let _ = stream.send_data(Bytes::from(vec![b'x'; random.usize(..20_000)]), random.u8(..) < 200);
    }
    tokio::time::sleep(Duration::from_micros(random.u64(..4000))).await;
    match random.u8(..4) {
        0 => stream.send_reset(h2::Reason::CANCEL),
        1 => drop(stream),
        _ => {
            let mut content = tokio::time::timeout(Duration::from_millis(50), response).await.ok()?.ok()?.into_body();
            while let Ok(Some(Ok(data))) = tokio::time::timeout(Duration::from_millis(20), content.data()).await {
                content.flow_control().release_capacity(data.len()).ok()?;
            }
        }
    }
    Some(())
}

#[test]
fn nothing_is_lost_held_or_left_behind_on_http2() {
    let random = std::cell::RefCell::new(fastrand::Rng::with_seed(7));
    let (address, _) = http2::backend(move |mut respond, _| {
        let mut random = random.borrow_mut();
        match random.u8(..6) {
            0 => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            1 => respond.send_reset(h2::Reason::REFUSED_STREAM),
            2 => drop(respond.send_response(Response::new(()), true)),
            3 => drop(respond),
            _ => {
                let mut stream = respond.send_response(Response::new(()), false).ok()?;
                stream.send_data(Bytes::from(vec![b'y'; random.usize(1..50_000)]), random.bool()).ok()?;
                return random.bool().then_some(stream);
            }
        }
        None
    });
    let limits = json!({"connection_idle_timeout_ms": 300, "max_resets_per_connection": 10});
    let route = json!({"timeouts": {"request_ms": 500}, "retry": {"codes": [503], "attempts": 1, "backoff_ms": 1}});
    let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C").limits(limits).route(route));
    http2::on_runtime(async {
        for turn in 0..20 {
            let (client, connection) = http2::connect(gateway.address).await;
            let streams =
                (0..25).map(|number| disturb_stream(client.clone(), fastrand::Rng::with_seed(turn * 100 + number)));
            futures_util::future::join_all(streams).await;
            if turn % 2 == 0 {
                // In debug builds `h2` may complain of streams it still counts; that ends the connection's task alone.
                connection.abort();
            }
        }
    });
    let lines = settled(&gateway);
    assert!(lines.len() > 100, "{} requests", lines.len());
    assert_eq!(gateway.statistics()["workers"], 1);
}
