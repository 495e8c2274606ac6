//! Raw bytes both ways after a switch.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use futures_util::FutureExt;
use sekisho_stream::Tunnel;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

#[tokio::test]
async fn bytes_go_both_ways_and_what_was_read_before_goes_first() {
    let (first, mut left) = duplex(1024);
    let (second, mut right) = duplex(1024);
    let tunnel = Tunnel::new((first, BytesMut::from("early ")), (second, BytesMut::from("hello ")));
    let copying = tokio::spawn(tunnel);
    left.write_all(b"from the left").await.unwrap();
    right.write_all(b"from the right").await.unwrap();
    let mut buffer = [0; 20];
    left.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"hello from the right");
    right.read_exact(&mut buffer[..19]).await.unwrap();
    assert_eq!(&buffer[..19], b"early from the left");
    drop((left, right));
    assert_eq!(copying.await.unwrap().unwrap(), (19, 20));
}

#[tokio::test]
async fn a_bound_holds_to_the_byte_for_both_directions_together() {
    let (first, mut left) = duplex(100_000);
    let (second, mut right) = duplex(100_000);
    left.write_all(&[7; 50_000]).await.unwrap();
    right.write_all(&[8; 50_000]).await.unwrap();
    let tunnel = Tunnel::new((first, BytesMut::from("early")), (second, BytesMut::new())).with_most(60_000);
    let mut tunnel = Box::pin(tunnel);
    assert!(tunnel.as_mut().now_or_never().is_none());
    assert_eq!(tunnel.copied(), (50_005, 9_995));
    drop(tunnel);
    let mut all = Vec::new();
    right.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 50_005);
    all.clear();
    left.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 9_995);
}

#[tokio::test]
async fn what_came_before_and_is_too_much_by_itself_goes_nowhere() {
    let (first, _left) = duplex(100);
    let (second, mut right) = duplex(100);
    let tunnel = Tunnel::new((first, BytesMut::from("eleven bytes")), (second, BytesMut::new())).with_most(11);
    let mut tunnel = Box::pin(tunnel);
    assert!(tunnel.as_mut().now_or_never().is_none());
    assert_eq!(tunnel.copied().0, 12, "whoever polls it sees that");
    drop(tunnel);
    let mut all = Vec::new();
    right.read_to_end(&mut all).await.unwrap();
    assert!(all.is_empty());
}

#[tokio::test]
async fn a_half_close_is_passed_on_and_the_other_way_stays_open() {
    let (first, mut left) = duplex(64);
    let (second, mut right) = duplex(64);
    let copying = tokio::spawn(Tunnel::new((first, BytesMut::new()), (second, BytesMut::new())));
    left.write_all(b"question").await.unwrap();
    left.shutdown().await.unwrap();
    let mut question = String::new();
    right.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    right.write_all(b"answer").await.unwrap();
    right.shutdown().await.unwrap();
    let mut answer = String::new();
    left.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert_eq!(copying.await.unwrap().unwrap(), (8, 6));
}

#[tokio::test]
async fn what_one_side_does_not_take_is_not_read_from_the_other() {
    let (first, mut left) = duplex(1024);
    let (second, mut right) = duplex(1024);
    let copying = tokio::spawn(Tunnel::new((first, BytesMut::new()), (second, BytesMut::new())));
    let writer = tokio::spawn(async move {
        left.write_all(&vec![7; 1_000_000]).await.unwrap();
        left.shutdown().await.unwrap();
        left
    });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!writer.is_finished());
    let mut all = Vec::new();
    right.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 1_000_000);
    drop((writer.await.unwrap(), right));
    assert_eq!(copying.await.unwrap().unwrap(), (1_000_000, 0));
}
