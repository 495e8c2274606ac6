//! One exchange, written once, over whichever versions the two sides speak.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;

use http::{Method, Version};
use sekisho_codec::{Piece, Scheme};
use sekisho_stream::{BodyKind, Downstream, Http1, Http2Options, Reason, Upstream, connect};
use support::http2::{accept, local, server};
use support::{LIMITS, ask, content, data, fields, head, headers, once, options, pair};
use tokio::io::DuplexStream;
use tokio::task::spawn_local;

type Down = Downstream<DuplexStream>;
type Up = Upstream<DuplexStream>;

async fn answer(mut down: Down) {
    let received = content!(down).unwrap();
    assert_eq!(received.text(), "question");
    assert!(down.recv_done());
    assert!(once(|cx| down.poll_closed(cx)).is_pending());
    let mut hints = head(103);
    hints.headers = headers(&[("link", "</x>")]);
    down.send_informational(&hints);
    let mut response = head(200);
    response.headers = headers(&[("x-a", "b")]);
    down.start_response(&response, BodyKind::Unknown, &options(&Method::POST)).unwrap();
    poll_fn(|cx| down.poll_send_ready(cx)).await.unwrap();
    down.send(data("answer")).unwrap();
    down.send(Piece::Trailers(headers(&[("x-sum", "1")]))).unwrap();
    down.finish();
    assert!(down.send_done());
    poll_fn(|cx| down.poll_flush(cx)).await.unwrap();
}

async fn question(mut up: Up) {
    poll_fn(|cx| up.poll_send_ready(cx)).await.unwrap();
    up.send(data("question")).unwrap();
    up.finish();
    assert!(up.send_done());
    poll_fn(|cx| up.poll_flush(cx)).await.unwrap();
    let hints = poll_fn(|cx| up.poll_response(cx, &Method::POST, &LIMITS)).await.unwrap();
    assert_eq!(hints.head.status, 103);
    let response = poll_fn(|cx| up.poll_response(cx, &Method::POST, &LIMITS)).await.unwrap();
    assert_eq!((response.head.status.as_u16(), response.kind), (200, BodyKind::Unknown));
    assert_eq!(fields(&response.head.headers), [("x-a".to_owned(), "b".to_owned())]);
    let received = content!(up).unwrap();
    assert_eq!((received.text(), received.trailers.len()), ("answer", 1));
    assert!(up.recv_done());
    // Too late to cancel anything.
    up.reset(Reason::CANCEL);
}

#[tokio::test]
async fn an_exchange_over_http_1() {
    local(async {
        let (mut asking, peer) = pair(4096);
        asking.start_request(&ask(Method::POST, "/x"), BodyKind::Length(8), None).unwrap();
        let asked = spawn_local(question(Upstream::Http1(Box::new(asking))));
        let mut connection = Http1::new(peer);
        let parsed = support::request(&mut connection).await.unwrap();
        assert_eq!((BodyKind::from(parsed.framing), parsed.head.version), (BodyKind::Length(8), Version::HTTP_11));
        answer(Downstream::Http1(connection)).await;
        asked.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_exchange_over_http_2() {
    local(async {
        let (mut server, io) = server(&Http2Options::default());
        let asked = spawn_local(async move {
            let (client, driver) = connect(io, &Http2Options::default()).await.unwrap();
            spawn_local(driver);
            let request = client.open(&ask(Method::POST, "/x"), BodyKind::Length(8)).unwrap();
            question(Upstream::Http2(request)).await;
        });
        let (head, kind, exchange) = accept(&mut server).await.unwrap().unwrap();
        assert_eq!((head.scheme, head.version, kind), (Scheme::Http, Version::HTTP_2, BodyKind::Length(8)));
        let answering = spawn_local(answer(Downstream::Http2(exchange)));
        assert!(accept(&mut server).await.is_none());
        answering.await.unwrap();
        asked.await.unwrap();
    })
    .await;
}
