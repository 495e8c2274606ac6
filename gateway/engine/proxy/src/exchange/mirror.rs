//! Mirrored copies of a request.
//!
//! A mirror lives in a task of its own and never holds up the request: content is queued for it
//! within a bound, and a mirror that falls behind is abandoned alone. Its answer is dropped.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use sekisho_codec::{Piece, RequestHead};
use sekisho_stream::{BodyKind, Upstream};
use sekisho_tls::Transport;
use sekisho_upstream::{Backend, Want};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::UPSTREAM_HEAD;
use super::open::{OpenRequest, Opened};
use crate::active_config::ActiveConfig;
use crate::plan::PlannedMirror;

/// A mirror that has not ended by then is cut off.
const LIFETIME: Duration = Duration::from_secs(60);

/// Mirrors under way at once on one worker; where their backend does not keep up, requests go without.
const MOST_RUNNING: u32 = 1024;
/// Most that is queued for all mirrors of a worker together.
const MOST_QUEUED: usize = 64 * 1024 * 1024;
/// What a piece costs besides its bytes: a flood of tiny ones must not pass below the bounds.
const PIECE_COST: usize = 64;

/// What the mirrors of one worker hold.
#[derive(Debug, Default)]
pub struct MirrorLoad {
    running: Cell<u32>,
    queued: Cell<usize>,
}

/// One mirror's share of the load, given back when its task ends.
#[derive(Debug)]
struct Share {
    load: Rc<MirrorLoad>,
    queued: Rc<Cell<usize>>,
}

impl Share {
    fn take(load: &Rc<MirrorLoad>) -> Option<Share> {
        if load.running.get() >= MOST_RUNNING {
            return None;
        }
        load.running.set(load.running.get() + 1);
        Some(Share { load: load.clone(), queued: Rc::default() })
    }

    fn release(&self, cost: usize) {
        self.queued.set(self.queued.get().saturating_sub(cost));
        self.load.queued.set(self.load.queued.get().saturating_sub(cost));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release(self.queued.get());
        self.load.running.set(self.load.running.get() - 1);
    }
}

/// The sending half of one mirror's queue.
#[derive(Debug)]
pub struct MirrorFeed {
    queue: Option<UnboundedSender<Piece>>,
    queued: Rc<Cell<usize>>,
    load: Rc<MirrorLoad>,
    limit: usize,
}

impl MirrorFeed {
    /// Queues a piece, or abandons the mirror when it is too far behind.
    pub fn send(&mut self, piece: &Piece) {
        let Some(queue) = &self.queue else {
            return;
        };
        let cost = cost(piece);
        let (queued, in_all) = (self.queued.get() + cost, self.load.queued.get() + cost);
        if queued > self.limit || in_all > MOST_QUEUED || queue.send(piece.clone()).is_err() {
            // The mirror sees its queue end early and breaks off, rather than sending a cut request as whole.
            self.queue = None;
            return;
        }
        self.queued.set(queued);
        self.load.queued.set(in_all);
    }

    /// The request is complete.
    pub fn finish(&mut self) {
        if let Some(queue) = self.queue.take() {
            // An empty piece marks the end; a queue that closes without one was abandoned.
            let _ = queue.send(Piece::Data(bytes::Bytes::new()));
        }
    }
}

fn cost(piece: &Piece) -> usize {
    let size = match piece {
        Piece::Data(data) => data.len(),
        Piece::Trailers(trailers) => trailers.iter().map(|(n, v)| n.as_str().len() + v.len()).sum(),
    };
    size + PIECE_COST
}

/// The mark that [`MirrorFeed::finish`] leaves.
fn is_end(piece: &Piece) -> bool {
    matches!(piece, Piece::Data(data) if data.is_empty())
}

/// What a mirror sends, apart from the content.
pub struct Copy<'a> {
    pub head: &'a RequestHead,
    pub body: BodyKind,
    pub buffer_bytes: usize,
    pub connect_timeout: Duration,
    pub load: &'a Rc<MirrorLoad>,
}

/// Starts the mirrors whose fraction this request falls into.
pub fn start(
    mirrors: &[PlannedMirror],
    config: &ActiveConfig,
    copy: &Copy<'_>,
    stays_inside: bool,
    feeds: &mut Vec<MirrorFeed>,
) {
    for mirror in mirrors {
        if !mirror.mirror.selects(fastrand::u64(..)) {
            continue;
        }
        let Some(backend) = config.backends.get(mirror.backend as usize) else {
            continue;
        };
        if stays_inside && backend.spec().outside().is_some() {
            continue;
        }
        if let Some(share) = Share::take(copy.load) {
            feeds.push(launch(backend.clone(), copy, share));
        }
    }
}

fn launch(backend: Rc<Backend>, copy: &Copy<'_>, share: Share) -> MirrorFeed {
    let (sender, receiver) = unbounded_channel();
    let (queued, load) = (share.queued.clone(), share.load.clone());
    let mirror = Mirror {
        backend,
        head: copy.head.clone(),
        body: copy.body,
        connect_timeout: copy.connect_timeout,
        content: receiver,
        share,
    };
    tokio::task::spawn_local(async move {
        // Neither a failure nor a cut-off matters to anybody but the mirror's own backend counters.
        let _ = tokio::time::timeout(LIFETIME, mirror.run()).await;
    });
    MirrorFeed { queue: Some(sender), queued, load, limit: copy.buffer_bytes }
}

struct Mirror {
    backend: Rc<Backend>,
    head: RequestHead,
    body: BodyKind,
    connect_timeout: Duration,
    content: UnboundedReceiver<Piece>,
    share: Share,
}

impl Mirror {
    async fn run(mut self) -> Option<()> {
        let want = if super::is_grpc(&self.head.headers) { Want::Http2 } else { Want::Any };
        let lease = self.backend.open(want, None, false, self.connect_timeout).await.ok()?;
        let request = OpenRequest { head: &self.head, body: self.body, upgrade: None };
        let mut opened = Opened::new(lease, &request).ok()?;
        self.send_content(&mut opened.up).await?;
        let method = self.head.method.clone();
        loop {
            let answer = poll_fn(|task| opened.up.poll_response(task, &method, &UPSTREAM_HEAD)).await.ok()?;
            if !answer.head.status.is_informational() {
                break;
            }
        }
        while let Some(piece) = poll_fn(|context| opened.up.poll_recv(context)).await {
            piece.ok()?;
        }
        opened.release(&self.backend);
        Some(())
    }

    /// `None` when the request was abandoned or the backend failed.
    async fn send_content(&mut self, up: &mut Upstream<Transport>) -> Option<()> {
        loop {
            let piece = self.content.recv().await?;
            if is_end(&piece) {
                break;
            }
            self.share.release(cost(&piece));
            poll_fn(|context| up.poll_send_ready(context)).await.ok()?;
            up.send(piece).ok()?;
            // The queue may stay empty for long: what there is goes out now, but nobody waits for it.
            poll_fn(|context| Poll::Ready(up.poll_flush(context).is_ready())).await;
        }
        up.finish();
        poll_fn(|context| up.poll_flush(context)).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn feed(load: &Rc<MirrorLoad>, limit: usize) -> (MirrorFeed, UnboundedReceiver<Piece>, Share) {
        let share = Share::take(load).expect("room for a mirror");
        let (sender, receiver) = unbounded_channel();
        let (queued, load) = (share.queued.clone(), share.load.clone());
        (MirrorFeed { queue: Some(sender), queued, load, limit }, receiver, share)
    }

    fn pieces_taken(size: usize, limit: usize) -> usize {
        let (mut feed, mut receiver, _share) = feed(&Rc::default(), limit);
        for _ in 0..10_000 {
            feed.send(&Piece::Data(Bytes::from(vec![b'x'; size])));
        }
        std::iter::from_fn(|| receiver.try_recv().ok()).count()
    }

    #[test]
    fn tiny_pieces_do_not_pass_below_the_bound() {
        assert_eq!(pieces_taken(936, 10_000), 10);
        assert_eq!(pieces_taken(1, 10_000), 10_000 / (1 + PIECE_COST));
    }

    #[test]
    fn a_mirror_that_ends_gives_back_its_share() {
        let load = Rc::default();
        let (mut feed, receiver, share) = feed(&load, 10_000);
        feed.send(&Piece::Data(Bytes::from_static(b"hello")));
        assert_eq!((load.running.get(), load.queued.get()), (1, 5 + PIECE_COST));
        drop((receiver, share));
        feed.send(&Piece::Data(Bytes::from_static(b"too late")));
        assert_eq!((load.running.get(), load.queued.get()), (0, 0));
    }

    #[test]
    fn mirrors_that_do_not_end_are_bounded_in_number() {
        let load = Rc::default();
        let shares: Vec<_> = std::iter::from_fn(|| Share::take(&load)).take(2 * MOST_RUNNING as usize).collect();
        assert_eq!(shares.len(), MOST_RUNNING as usize);
        drop(shares);
        assert!(Share::take(&load).is_some());
    }
}
