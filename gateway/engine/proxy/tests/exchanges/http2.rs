//! HTTP/2 on either side.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{Backend, Gateway, PATIENCE, Setup, until};

pub fn on_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") });
}

/// A client's connection, and the task that ends with it.
pub async fn connect(address: SocketAddr) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(address).await.expect("connect");
    let (client, connection) = h2::client::handshake(stream).await.expect("a handshake");
    (client.ready().await.expect("ready"), tokio::spawn(connection))
}

fn get() -> Request<()> {
    Request::get("http://shop.test/").body(()).expect("a request")
}

fn grpc() -> Request<()> {
    Request::post("http://shop.test/a.B/C").header("content-type", "application/grpc").body(()).expect("a request")
}

type Respond = h2::server::SendResponse<Bytes>;

/// An HTTP/2 backend that hands each request to `serve`, with its number; tells the reason of each reset it sees.
pub fn backend(
    serve: impl Fn(Respond, u32) -> Option<h2::SendStream<Bytes>> + Send + 'static,
) -> (SocketAddr, Receiver<()>) {
    let (told, resets) = channel();
    let (address_told, address) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            address_told.send(listener.local_addr().expect("address")).expect("the test waits");
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.expect("a handshake");
                while let Some(Ok((_, respond))) = connection.accept().await {
                    if let Some(mut stream) = serve(respond, number) {
                        let told = told.clone();
                        tokio::spawn(async move {
                            if poll_fn(|task| stream.poll_reset(task)).await.is_ok() {
                                let _ = told.send(());
                            }
                        });
                    }
                    number += 1;
                }
            }
        });
    });
    (address.recv_timeout(PATIENCE).expect("an address"), resets)
}

#[test]
fn a_client_that_cancels_a_silent_stream_cancels_it_at_the_backend() {
    let (address, resets) = backend(|mut respond, _| {
        let mut stream = respond.send_response(Response::new(()), false).expect("a response");
        stream.send_data(Bytes::from_static(b"event"), false).expect("data");
        Some(stream)
    });
    let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C"));
    on_runtime(async {
        let (mut client, _connection) = connect(gateway.address).await;
        let (response, mut stream) = client.send_request(get(), true).expect("sent");
        let mut content = response.await.expect("a response").into_body();
        content.data().await.expect("an event").expect("data");
        stream.send_reset(h2::Reason::CANCEL);
        tokio::time::sleep(Duration::from_millis(200)).await;
        resets.try_recv().expect("the backend's stream is cancelled too");
    });
    let line = &gateway.log(1)[0];
    assert_eq!((&line["response_code"], &line["response_flags"]), (&json!(200), &json!("DC")));
}

#[test]
fn a_connection_that_is_lost_in_the_middle_of_answers_is_recorded_so() {
    let (address, resets) = backend(|mut respond, _| {
        let mut stream = respond.send_response(Response::new(()), false).expect("a response");
        stream.send_data(Bytes::from_static(b"event"), false).expect("data");
        Some(stream)
    });
    let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C"));
    on_runtime(async {
        let (mut client, connection) = connect(gateway.address).await;
        let (response, _stream) = client.send_request(get(), true).expect("sent");
        let mut content = response.await.expect("a response").into_body();
        content.data().await.expect("an event").expect("data");
        connection.abort();
        drop((client, content));
    });
    resets.recv_timeout(PATIENCE).expect("the backend's stream is cancelled");
    let line = &gateway.log(1)[0];
    assert_eq!((&line["response_code"], &line["response_flags"]), (&json!(200), &json!("DC")));
}

#[test]
fn a_stream_that_the_backend_resets_is_not_sent_again_on_its_own() {
    let requests = Arc::new(AtomicU32::new(0));
    let counter = requests.clone();
    let (address, _) = backend(move |mut respond, number| {
        counter.fetch_add(1, Ordering::SeqCst);
        if number == 0 {
            respond.send_response(Response::new(()), true).expect("a response");
        } else {
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
        }
        None
    });
    let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C"));
    let mut client = gateway.client();
    for status in [200, 502] {
        client.send(crate::support::GET);
        assert_eq!(client.response().0, status);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 2, "the backend has seen the request");
}

#[test]
fn a_stream_that_the_backend_refuses_is_sent_again() {
    let (address, _) = backend(|mut respond, number| {
        if number == 0 {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        } else {
            respond.send_response(Response::new(()), true).expect("a response");
        }
        None
    });
    let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C"));
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(client.response().0, 200);
}

#[test]
fn an_answer_cut_by_its_backend_is_a_reset_to_the_client() {
    let backend = Backend::start(|mut peer, _| {
        peer.read_head();
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
        std::thread::sleep(Duration::from_millis(50));
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    on_runtime(async {
        let (mut client, _connection) = connect(gateway.address).await;
        let (response, _) = client.send_request(get(), true).expect("sent");
        let mut content = response.await.expect("a response").into_body();
        content.data().await.expect("a part").expect("data");
        let error = content.data().await.expect("something").expect_err("not the end");
        assert!(error.is_reset(), "{error}");
    });
    assert_eq!(gateway.log(1)[0]["response_code_details"], "upstream_reset");
}

#[test]
fn the_status_of_a_call_is_read_from_a_head_alone_and_from_trailers() {
    let (address, _) = backend(|mut respond, number| {
        if number == 0 {
            let head = Response::builder().header("content-type", "application/grpc").header("grpc-status", "5");
            respond.send_response(head.body(()).expect("a head"), true).expect("a response");
        } else {
            let mut stream = respond.send_response(Response::new(()), false).expect("a response");
            stream.send_data(Bytes::from_static(b"message"), false).expect("data");
            let trailers =
                HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "7".parse().expect("a value"))]);
            stream.send_trailers(trailers).expect("trailers");
        }
        None
    });
    let gateway = Gateway::start(&Setup::with(&[address]));
    on_runtime(async {
        let (mut client, _connection) = connect(gateway.address).await;
        let (response, _) = client.send_request(grpc(), true).expect("sent");
        let response = response.await.expect("a response");
        assert!(response.body().is_end_stream());
        assert_eq!(response.headers()["grpc-status"], "5");
        let (response, _) = client.send_request(grpc(), true).expect("sent");
        let mut content = response.await.expect("a response").into_body();
        while let Some(data) = content.data().await {
            content.flow_control().release_capacity(data.expect("data").len()).expect("released");
        }
        assert_eq!(content.trailers().await.expect("trailers").expect("some")["grpc-status"], "7");
    });
    let statuses: Vec<_> = gateway.log(2).iter().map(|line| line["grpc_status"].clone()).collect();
    assert_eq!(statuses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["5", "7"]);
}

#[test]
fn a_head_that_the_stream_layer_refuses_is_logged_and_counted() {
    let gateway = Gateway::start(&Setup::with(&[]));
    on_runtime(async {
        let (mut client, _connection) = connect(gateway.address).await;
        let request = Request::get("http://shop.test/").header("host", "other.test").body(()).expect("a request");
        let (response, _) = client.send_request(request, true).expect("sent");
        assert_eq!(response.await.expect("a response").status(), 400);
    });
    assert_eq!(gateway.log(1)[0]["response_code_details"], "request_malformed");
}

#[test]
fn a_drain_says_goaway_and_lets_streams_finish() {
    let (release, released) = channel();
    let released = std::sync::Mutex::new(released);
    let backend = Backend::start(move |mut peer, _| {
        peer.read_head();
        released.lock().expect("no panic").recv_timeout(PATIENCE).expect("told to go on");
        peer.send(crate::support::OK.as_bytes());
    });
    let gateway = Gateway::start(&Setup::with(&[backend.address]));
    on_runtime(async {
        let (mut client, connection) = connect(gateway.address).await;
        let (response, _) = client.send_request(get(), true).expect("sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.engine.drain();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(poll_fn(|task| client.poll_ready(task)).await.is_err(), "no more streams");
        release.send(()).expect("the backend waits");
        let mut content = response.await.expect("a response").into_body();
        assert_eq!(content.data().await.expect("content").expect("data"), "ok");
        drop((client, content));
        connection.await.expect("no panic").expect("an orderly end");
    });
    until(|| gateway.engine.active() == 0);
    assert_eq!(gateway.log(1)[0]["response_code"], 200);
}

#[test]
fn a_drain_cuts_streams_off_at_its_bound() {
    let (address, _) = backend(|mut respond, _| respond.send_response(Response::new(()), false).ok());
    let setup = Setup::with(&[address]).protocol("H2C").limits(json!({"drain_timeout_ms": 200}));
    let gateway = Gateway::start(&setup);
    on_runtime(async {
        let (mut client, connection) = connect(gateway.address).await;
        let (response, _) = client.send_request(get(), true).expect("sent");
        let _content = response.await.expect("a response").into_body();
        gateway.engine.drain();
        // However it ends for the client, it ends.
        let _ = connection.await.expect("no panic");
    });
    until(|| gateway.engine.active() == 0);
    assert_eq!(gateway.log(1)[0]["response_code_details"], "request_timeout");
}

#[test]
fn an_idle_connection_ends_in_good_order_also_without_a_bound_on_drains() {
    let (address, _) = backend(|mut respond, _| {
        respond.send_response(Response::new(()), true).expect("a response");
        None
    });
    for drain in [0, 30_000] {
        let limits = json!({"connection_idle_timeout_ms": 150, "drain_timeout_ms": drain});
        let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C").limits(limits));
        on_runtime(async {
            let (mut client, connection) = connect(gateway.address).await;
            let (response, _) = client.send_request(get(), true).expect("sent");
            assert_eq!(response.await.expect("a response").status(), 200);
            connection.await.expect("no panic").expect("GOAWAY without an error");
            drop(client);
        });
        until(|| gateway.engine.active() == 0);
    }
}

/// Processor time that this process's workers have used, in the kernel's ticks, but for each engine's first.
#[cfg(target_os = "linux")]
fn ticks_of_later_workers() -> u64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("the tasks").map_while(Result::ok) {
        // A thread may end while it is looked at.
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let (name, rest) = stat.split_once(") ").expect("a name");
        if name.contains("(gateway-") && !name.ends_with("gateway-0") {
            let used = rest.split(' ').skip(11).take(2);
            ticks += used.map(|field| field.parse::<u64>().expect("a number")).sum::<u64>();
        }
    }
    ticks
}

#[test]
#[cfg(target_os = "linux")]
fn idle_clients_that_answer_nothing_cost_nothing() {
    let (address, _) = backend(|mut respond, _| {
        respond.send_response(Response::new(()), true).expect("a response");
        None
    });
    let limits = json!({"request_head_timeout_ms": 100, "drain_timeout_ms": 0});
    // Other tests have one worker each: those from the second on are of this one.
    let gateway = Gateway::start(&Setup::with(&[address]).protocol("H2C").limits(limits).workers(4));
    let idle: Vec<_> = (0..16).map(|_| gateway.client()).collect();
    for mut client in
        idle.iter().map(|client| crate::support::Client::over(client.stream.try_clone().expect("a handle")))
    {
        // A preface, settings, and then not even an answer to a PING.
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    }
    std::thread::sleep(Duration::from_millis(200));
    let before = ticks_of_later_workers();
    std::thread::sleep(Duration::from_millis(500));
    let used = ticks_of_later_workers() - before;
    assert!(used <= 3, "{used} ticks of work for nothing");
    let mut client = gateway.client();
    client.send(crate::support::GET);
    assert_eq!(client.response().0, 200);
    assert_eq!(gateway.engine.active(), 17);
}
