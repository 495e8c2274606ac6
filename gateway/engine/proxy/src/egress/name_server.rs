//! Asking named servers: each question over a socket of its own, and over TCP where an answer is too long. Over TLS they are
//! asked by [`super::over_tls`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use sekisho_egress::dns::{self, Answer, AnswerError, Kind};
use sekisho_table::NameServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::over_tls::{SecuredServers, Trouble};

/// How long one server may take for one question, and how often each is asked.
const PATIENCE: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 2;
const MAX_DATAGRAM: usize = 4096;
/// How long "there is no such name" and "it has no address" hold.
const NOTHING: Duration = Duration::from_secs(1);

/// The addresses of a name, and for how long they hold.
pub async fn lookup(
    name: &str,
    servers: &[NameServer],
    secured: &SecuredServers,
) -> Result<(Vec<IpAddr>, Duration), Trouble> {
    let mut last = Trouble::Unanswered;
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        let ask = |kind| ask(name, kind, server, secured);
        let (v4, v6) = tokio::join!(ask(Kind::A), ask(Kind::Aaaa));
        match (v4, v6) {
            // Of several reasons, the one that somebody has to act on is told.
            (Err(trouble), Err(_)) => last = if last == Trouble::Untrusted { last } else { trouble },
            // Nothing of the one family says nothing of the other.
            (Err(trouble), Ok(Answer::Addresses(found, _))) | (Ok(Answer::Addresses(found, _)), Err(trouble))
                if found.is_empty() =>
            {
                last = trouble;
            }
            // A family that nobody told of is left out: what is dialled is what was told.
            (v4, v6) => {
                let mut addresses = Vec::new();
                let mut holds: Option<u32> = None;
                for answer in [v4, v6].into_iter().flatten() {
                    if let Answer::Addresses(found, ttl) = answer {
                        addresses.extend(found);
                        holds = match (holds, ttl) {
                            (Some(one), Some(other)) => Some(one.min(other)),
                            (one, other) => one.or(other),
                        };
                    }
                }
                return Ok((addresses, holds.map_or(NOTHING, |seconds| Duration::from_secs(seconds.into()))));
            }
        }
    }
    Err(last)
}

async fn ask(name: &str, kind: Kind, server: &NameServer, secured: &SecuredServers) -> Result<Answer, Trouble> {
    match &server.verified_as {
        Some(verified_as) => secured.ask((name, kind), server, verified_as).await,
        None => in_the_clear(name, kind, server.address).await.map_err(|_| Trouble::Unanswered),
    }
}

async fn in_the_clear(name: &str, kind: Kind, server: SocketAddr) -> io::Result<Answer> {
    match tokio::time::timeout(PATIENCE, over_udp(name, kind, server)).await?? {
        Answer::Truncated => tokio::time::timeout(PATIENCE, over_tcp(name, kind, server)).await?,
        answer => Ok(answer),
    }
}

async fn over_udp(name: &str, kind: Kind, server: SocketAddr) -> io::Result<Answer> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connected: the kernel picks the port, and lets nobody else answer.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    let id = identifier()?;
    socket.send(&dns::question(id, name, kind)).await?;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match dns::answer(&buffer[..length], id, name, kind) {
            // Somebody guesses, or it is late: the true one may still come.
            Err(AnswerError::NotOurs) => {}
            Err(error) => return Err(failure(error)),
            Ok(answer) => return Ok(answer),
        }
    }
}

async fn over_tcp(name: &str, kind: Kind, server: SocketAddr) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let id = identifier()?;
    let question = dns::question(id, name, kind);
    let mut message = (question.len() as u16).to_be_bytes().to_vec();
    message.extend_from_slice(&question);
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await?;
    match dns::answer(&buffer, id, name, kind) {
        Ok(Answer::Truncated) => Err(io::ErrorKind::InvalidData.into()),
        Ok(answer) => Ok(answer),
        Err(error) => Err(failure(error)),
    }
}

/// Nobody can guess it.
pub fn identifier() -> io::Result<u16> {
    let mut bytes = [0; 2];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(u16::from_be_bytes(bytes))
}

fn failure(error: AnswerError) -> io::Error {
    match error {
        AnswerError::NotOurs | AnswerError::Malformed => io::ErrorKind::InvalidData.into(),
        AnswerError::Failed(code) => io::Error::other(format!("the name server failed (code {code})")),
    }
}
