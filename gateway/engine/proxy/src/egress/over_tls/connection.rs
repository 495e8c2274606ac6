//! One connection to a name server: questions go out as they come, answers are told apart by their identifiers, in any order.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use sekisho_egress::dns::{self, Answer, Kind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use super::super::name_server::identifier;

/// Questions without an answer yet; others wait for their turn.
const MAX_QUESTIONS: usize = 32;
/// A connection without a word is closed (RFC 7858, 3.4).
const IDLE: Duration = Duration::from_secs(10);

/// What stands in the way of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It came and is of no use.
    Answer,
    Connection,
}

type Waiting = oneshot::Sender<Vec<u8>>;

pub struct Connection {
    /// Dropped when the connection ends: then everybody who waits learns it.
    waiting: RefCell<HashMap<u16, Waiting>>,
    questions: UnboundedSender<Vec<u8>>,
    turns: Semaphore,
    is_open: Cell<bool>,
    /// When an answer came, to whatever question.
    heard: Cell<Option<Instant>>,
}

impl Connection {
    /// On a task of its own, which ends with the stream or with the last who knows the connection.
    pub fn start(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Rc<Self> {
        let (questions, asked) = unbounded_channel();
        let connection = Rc::new(Self {
            waiting: RefCell::default(),
            questions,
            turns: Semaphore::new(MAX_QUESTIONS),
            is_open: Cell::new(true),
            heard: Cell::default(),
        });
        tokio::task::spawn_local(serve(Rc::downgrade(&connection), stream, asked));
        connection
    }

    pub fn is_open(&self) -> bool {
        self.is_open.get()
    }

    pub fn was_heard_since(&self, moment: Instant) -> bool {
        self.heard.get().is_some_and(|heard| heard >= moment)
    }

    /// Those who wait learn it.
    pub fn close(&self) {
        self.is_open.set(false);
        self.turns.close();
        self.waiting.borrow_mut().clear();
    }

    /// The caller bounds its time.
    pub async fn ask(&self, name: &str, kind: Kind) -> Result<Answer, Broken> {
        let _turn = self.turns.acquire().await.map_err(|_| Broken::Connection)?;
        let (answered, answer) = oneshot::channel();
        let id = self.wait_for(answered)?;
        // Whoever gives up leaves nothing behind.
        let _place = Place { connection: self, id };
        let question = dns::question(id, name, kind);
        let mut message = (question.len() as u16).to_be_bytes().to_vec();
        message.extend_from_slice(&question);
        self.questions.send(message).map_err(|_| Broken::Connection)?;
        let message = answer.await.map_err(|_| Broken::Connection)?;
        match dns::answer(&message, id, name, kind) {
            Ok(Answer::Truncated) | Err(_) => Err(Broken::Answer),
            Ok(answer) => Ok(answer),
        }
    }

    /// Under an identifier that no other question has.
    fn wait_for(&self, answered: Waiting) -> Result<u16, Broken> {
        if !self.is_open() {
            return Err(Broken::Connection);
        }
        let mut waiting = self.waiting.borrow_mut();
        loop {
            let id = identifier().map_err(|_| Broken::Connection)?;
            if let std::collections::hash_map::Entry::Vacant(place) = waiting.entry(id) {
                place.insert(answered);
                return Ok(id);
            }
        }
    }
}

struct Place<'a> {
    connection: &'a Connection,
    id: u16,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.connection.waiting.borrow_mut().remove(&self.id);
    }
}

async fn serve(
    connection: Weak<Connection>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut asked: UnboundedReceiver<Vec<u8>>,
) {
    let (reader, writer) = tokio::io::split(stream);
    // Either end is the end. Why is of no use: there is no answer.
    tokio::select! {
        _ = read(&connection, reader) => {}
        _ = write(&mut asked, writer) => {}
    }
    if let Some(connection) = connection.upgrade() {
        connection.close();
    }
}

async fn read(connection: &Weak<Connection>, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
    loop {
        // What is cut off here is not gone on with: the connection ends.
        let length = tokio::time::timeout(IDLE, reader.read_u16()).await??;
        let mut message = vec![0; length.into()];
        tokio::time::timeout(IDLE, reader.read_exact(&mut message)).await??;
        let Some(connection) = connection.upgrade() else { return Ok(()) };
        connection.heard.set(Some(Instant::now()));
        let id = message.get(..2).map(|id| u16::from_be_bytes([id[0], id[1]]));
        let waiting = id.and_then(|id| connection.waiting.borrow_mut().remove(&id));
        if let Some(waiting) = waiting {
            // Whoever has given up needs no answer.
            waiting.send(message).ok();
        }
    }
}

async fn write(asked: &mut UnboundedReceiver<Vec<u8>>, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(message) = asked.recv().await {
        writer.write_all(&message).await?;
        writer.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::{DuplexStream, duplex};
    use tokio::task::LocalSet;

    use super::*;

    const NAME: &str = "a.example";

    async fn question(server: &mut DuplexStream) -> Vec<u8> {
        let length = server.read_u16().await.expect("a length");
        let mut message = vec![0; length.into()];
        server.read_exact(&mut message).await.expect("a question");
        message
    }

    /// To a question for the address of [`NAME`] or of another name.
    async fn answer(server: &mut DuplexStream, question: &[u8], address: [u8; 4]) {
        let mut message = question.to_vec();
        message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend_from_slice(&address);
        server.write_u16(message.len() as u16).await.expect("written");
        server.write_all(&message).await.expect("written");
    }

    fn found(address: [u8; 4]) -> Result<Answer, Broken> {
        Ok(Answer::Addresses(vec![IpAddr::V4(Ipv4Addr::from(address))], Some(60)))
    }

    fn run(test: impl AsyncFnOnce(Rc<Connection>, DuplexStream)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let (ours, theirs) = duplex(64 * 1024);
            test(Connection::start(ours), theirs).await;
        });
    }

    #[test]
    fn answers_come_in_any_order() {
        run(async |connection, mut server| {
            let asked = async { tokio::join!(connection.ask(NAME, Kind::A), connection.ask("b.example", Kind::A)) };
            let answered = async {
                let (first, second) = (question(&mut server).await, question(&mut server).await);
                answer(&mut server, &second, [10, 0, 0, 2]).await;
                answer(&mut server, &first, [10, 0, 0, 1]).await;
            };
            let ((first, second), ()) = tokio::join!(asked, answered);
            assert_eq!((first, second), (found([10, 0, 0, 1]), found([10, 0, 0, 2])));
            assert!(connection.is_open());
        });
    }

    #[test]
    fn an_answer_to_another_question_is_of_no_use() {
        run(async |connection, mut server| {
            let answered = async {
                let mut asked = question(&mut server).await;
                asked[13] = b'x';
                answer(&mut server, &asked, [10, 0, 0, 1]).await;
            };
            let (told, ()) = tokio::join!(connection.ask(NAME, Kind::A), answered);
            assert_eq!(told, Err(Broken::Answer));
        });
    }

    #[test]
    fn a_connection_that_ends_in_the_middle_of_an_answer_is_broken_for_all_who_wait() {
        run(async |connection, mut server| {
            let asked = async { tokio::join!(connection.ask(NAME, Kind::A), connection.ask(NAME, Kind::Aaaa)) };
            let answered = async move {
                question(&mut server).await;
                server.write_all(&[0, 60, 1, 2, 3]).await.expect("written");
            };
            let (told, ()) = tokio::join!(asked, answered);
            assert_eq!(told, (Err(Broken::Connection), Err(Broken::Connection)));
            assert!(!connection.is_open());
            assert_eq!(connection.ask(NAME, Kind::A).await, Err(Broken::Connection));
        });
    }

    #[test]
    fn so_many_questions_are_on_their_way_and_who_gives_up_makes_room() {
        run(async |connection, mut server| {
            let ask = || tokio::time::timeout(Duration::from_millis(500), connection.ask(NAME, Kind::A));
            let asked = futures_util::future::join_all((0..3 * MAX_QUESTIONS).map(|_| ask()));
            let seen = async {
                let mut seen = 0;
                while tokio::time::timeout(Duration::from_millis(200), question(&mut server)).await.is_ok() {
                    seen += 1;
                }
                seen
            };
            let (told, seen) = tokio::join!(asked, seen);
            assert!(told.iter().all(Result::is_err), "nobody answered");
            assert_eq!(seen, MAX_QUESTIONS);
            assert!(connection.waiting.borrow().is_empty());
            let answered = async {
                loop {
                    let asked = question(&mut server).await;
                    answer(&mut server, &asked, [10, 0, 0, 1]).await;
                }
            };
            tokio::select! {
                told = connection.ask("b.example", Kind::A) => assert_eq!(told, found([10, 0, 0, 1])),
                () = answered => {}
            }
        });
    }

    #[test]
    fn the_stream_ends_with_the_last_who_knows_the_connection() {
        run(async |connection, mut server| {
            drop(connection);
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(Duration::from_secs(5), server.read_to_end(&mut rest)).await;
            assert_eq!(ended.expect("in time").expect("its end"), 0);
        });
    }
}
