//! Both roles against the `h2` crate: random messages arrive as they were sent, whatever the windows.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use sekisho_codec::{Headers, Piece, RequestHead, Scheme};
use sekisho_stream::{BodyKind, Http2Options};
use support::content;
use support::http2::{answer, client, flushed, local, serve, server};
use tokio::io::DuplexStream;
use tokio::task::{JoinSet, spawn_local};

/// What goes one way on a stream.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    fields: Vec<(String, String)>,
    content: Vec<u8>,
    trailers: Vec<(String, String)>,
}

const NAMES: [&str; 8] =
    ["accept", "user-agent", "x-request-id", "cookie-like", "authorization", "content-type", "vary", "x-bin"];

fn list(random: &mut fastrand::Rng, most: usize) -> Vec<(String, String)> {
    let count = random.usize(..=most);
    let mut names = NAMES;
    random.shuffle(&mut names);
    let value = |random: &mut fastrand::Rng| {
        let length = [0, 3, 30, 700][random.usize(..4)];
        let text: String = (0..length).map(|_| random.char('!'..='~')).collect();
        text
    };
    // In the order of their names: what `h2` hands over has no other.
    let mut list: Vec<_> = names[..count].iter().map(|name| ((*name).to_owned(), value(random))).collect();
    list.sort();
    list
}

fn message(random: &mut fastrand::Rng) -> Message {
    let length = [0, 1, 100, 16_384, 70_000, 200_000][random.usize(..6)];
    let content: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
    let trailers = if random.bool() { list(random, 3) } else { vec![] };
    Message { fields: list(random, NAMES.len()), content, trailers }
}

fn headers(list: &[(String, String)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in list {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn map(list: &[(String, String)]) -> HeaderMap {
    headers(list).into_map()
}

fn sorted<'a>(list: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Vec<(String, String)> {
    let mut list: Vec<_> = list.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    list.sort();
    list
}

/// Sends content and trailers through `h2`.
async fn push(stream: &mut h2::SendStream<Bytes>, message: &Message) {
    let mut rest = Bytes::from(message.content.clone());
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        stream.send_data(rest.split_to(room), false).unwrap();
    }
    match message.trailers.is_empty() {
        true => stream.send_data(Bytes::new(), true).unwrap(),
        false => stream.send_trailers(map(&message.trailers)).unwrap(),
    }
}

/// Receives content and trailers through `h2`.
async fn pull(mut body: h2::RecvStream, fields: &HeaderMap) -> Message {
    let mut content = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        content.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    Message { fields: sorted(fields.iter()), content, trailers: sorted(trailers.iter()) }
}

macro_rules! send_all {
    ($stream:expr, $message:expr) => {{
        for piece in $message.content.chunks(30_000) {
            poll_fn(|cx| $stream.poll_send_ready(cx)).await.unwrap();
            $stream.send(Piece::Data(Bytes::copy_from_slice(piece))).unwrap();
        }
        if !$message.trailers.is_empty() {
            $stream.send(Piece::Trailers(headers(&$message.trailers))).unwrap();
        }
        $stream.finish();
        flushed!($stream).unwrap();
    }};
}

/// An echo of ours: a client of `h2`'s asks it.
fn echo(io_options: Http2Options) -> DuplexStream {
    let (server, io) = server(&io_options);
    serve(server, |(request, _, mut exchange)| async move {
        let received = content!(exchange).unwrap();
        let mut head = support::head(200);
        head.headers = request.headers;
        let message = Message { fields: vec![], content: received.data, trailers: sorted_pairs(received.trailers) };
        exchange.start_response(&head, BodyKind::Unknown).unwrap();
        send_all!(exchange, message);
    });
    io
}

fn sorted_pairs(mut list: Vec<(String, String)>) -> Vec<(String, String)> {
    list.sort();
    list
}

const WINDOWS: [(u32, u32); 3] = [(1000, 65_535), (65_535, 65_535), (1 << 20, 1 << 22)];

#[tokio::test]
async fn clients_of_h2_get_back_what_they_sent() {
    for (seed, (stream_window, connection_window)) in WINDOWS.into_iter().enumerate() {
        local(async move {
            let io = echo(Http2Options { stream_window, connection_window, ..Http2Options::default() });
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(stream_window).initial_connection_window_size(connection_window);
            let (sender, connection) = builder.handshake::<_, Bytes>(io).await.unwrap();
            spawn_local(async move { connection.await.unwrap() });
            let mut random = fastrand::Rng::with_seed(seed as u64);
            let mut tasks = JoinSet::new();
            for _ in 0..40 {
                let message = message(&mut random);
                let sender = sender.clone();
                tasks.spawn_local(async move {
                    let mut sender = sender.ready().await.unwrap();
                    let mut request = Request::new(());
                    *request.method_mut() = Method::POST;
                    *request.uri_mut() = "http://a.example/x".parse().unwrap();
                    *request.version_mut() = Version::HTTP_2;
                    *request.headers_mut() = map(&message.fields);
                    let (response, mut stream) = sender.send_request(request, false).unwrap();
                    push(&mut stream, &message).await;
                    let (parts, body) = response.await.unwrap().into_parts();
                    assert_eq!(parts.status, StatusCode::OK);
                    assert!(pull(body, &parts.headers).await == message);
                });
            }
            while let Some(outcome) = tasks.join_next().await {
                outcome.unwrap();
            }
        })
        .await;
    }
}

/// An echo of `h2`'s.
async fn foreign_echo(io: DuplexStream, stream_window: u32) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(stream_window).max_concurrent_streams(100);
    let mut connection = builder.handshake::<_, Bytes>(io).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        spawn_local(async move {
            let (parts, body) = request.into_parts();
            let message = pull(body, &parts.headers).await;
            let mut response = Response::new(());
            *response.headers_mut() = parts.headers;
            let mut stream = respond.send_response(response, false).unwrap();
            push(&mut stream, &message).await;
        });
    }
}

#[tokio::test]
async fn servers_of_h2_send_back_what_they_got() {
    for (seed, (stream_window, _)) in WINDOWS.into_iter().enumerate() {
        local(async move {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            spawn_local(foreign_echo(theirs, stream_window));
            let client = client(ours).await;
            let mut random = fastrand::Rng::with_seed(100 + seed as u64);
            let mut tasks = JoinSet::new();
            for _ in 0..40 {
                let message = message(&mut random);
                let client = client.clone();
                tasks.spawn_local(async move {
                    let head = RequestHead {
                        method: Method::POST,
                        scheme: Scheme::Http,
                        authority: HeaderValue::from_static("a.example"),
                        target: Bytes::from_static(b"/x"),
                        version: Version::HTTP_2,
                        headers: headers(&message.fields),
                    };
                    let mut request = client.open(&head, BodyKind::Unknown).unwrap();
                    send_all!(request, message);
                    let (head, _) = answer(&mut request).await.unwrap();
                    let received = content!(request).unwrap();
                    let echoed = Message {
                        fields: sorted(head.headers.iter()),
                        content: received.data,
                        trailers: sorted_pairs(received.trailers),
                    };
                    assert!(echoed == message);
                });
            }
            while let Some(outcome) = tasks.join_next().await {
                outcome.unwrap();
            }
        })
        .await;
    }
}
