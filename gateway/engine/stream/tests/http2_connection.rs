//! How HTTP/2 connections begin, bound their streams, and end.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use http::Method;
use sekisho_stream::{BodyKind, Http2Options, StreamErrorKind};
use support::http2::{answer, client, flushed, local, serve, server};
use support::{ask, content, data, head};

#[tokio::test]
async fn a_graceful_shutdown_completes_what_is_under_way() {
    local(async {
        let (mut server, io) = server(&Http2Options::default());
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::task::spawn_local(async move {
            let (_, _, mut exchange) = support::http2::accept(&mut server).await.unwrap().unwrap();
            server.graceful_shutdown();
            tokio::task::spawn_local(async move {
                told.await.unwrap();
                exchange.start_response(&head(200), BodyKind::Length(4)).unwrap();
                exchange.send(data("late")).unwrap();
                exchange.finish();
                flushed!(exchange).unwrap();
            });
            support::http2::accept(&mut server).await.map(|accepted| accepted.map(|_| ()))
        });
        let client = client(io).await;
        let mut request = client.open(&ask(Method::GET, "/"), BodyKind::Empty).unwrap();
        assert!(client.can_open());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!client.can_open());
        let refused = client.open(&ask(Method::GET, "/"), BodyKind::Empty).err().unwrap();
        assert_eq!(refused.kind, StreamErrorKind::Refused);
        tell.send(()).unwrap();
        answer(&mut request).await.unwrap();
        assert_eq!(content!(request).unwrap().text(), "late");
        drop(request);
        assert!(serving.await.unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(client.is_closed());
    })
    .await;
}

#[tokio::test]
async fn the_last_handle_closes_the_connection() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        let serving = serve(server, |_| async {});
        let client = client(io).await;
        drop(client.clone());
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!serving.is_finished());
        drop(client);
        assert!(serving.await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_client_opens_no_more_streams_than_the_server_takes() {
    local(async {
        let options = Http2Options { max_concurrent_streams: 2, ..Http2Options::default() };
        let (server, io) = server(&options);
        serve(server, |(_, _, mut exchange)| async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            exchange.start_response(&head(204), BodyKind::Empty).unwrap();
        });
        let client = client(io).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let open = || client.open(&ask(Method::GET, "/"), BodyKind::Empty).unwrap();
        let (mut first, second) = (open(), open());
        assert!(!client.can_open());
        answer(&mut first).await.unwrap();
        drop((first, second));
        assert!(client.can_open());
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_to_its_streams() {
    local(async {
        let (mut server, io) = server(&Http2Options::default());
        tokio::task::spawn_local(async move {
            let accepted = support::http2::accept(&mut server).await;
            drop((accepted, server));
        });
        let client = client(io).await;
        let mut request = client.open(&ask(Method::GET, "/"), BodyKind::Empty).unwrap();
        let error = answer(&mut request).await.unwrap_err();
        assert!(matches!(error.kind, StreamErrorKind::Reset | StreamErrorKind::Io(_)), "{error:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(client.is_closed() && !client.can_open());
        assert!(client.open(&ask(Method::GET, "/"), BodyKind::Empty).is_err());
    })
    .await;
}

#[tokio::test]
async fn a_connection_begins_once_the_server_has_spoken() {
    local(async {
        let (silent, peer) = tokio::io::duplex(4096);
        let options = Http2Options::default();
        let connecting = sekisho_stream::connect(silent, &options);
        assert!(tokio::time::timeout(Duration::from_millis(20), connecting).await.is_err());
        drop(peer);
        let (leaving, peer) = tokio::io::duplex(4096);
        drop(peer);
        assert!(sekisho_stream::connect(leaving, &options).await.is_err());
    })
    .await;
}
