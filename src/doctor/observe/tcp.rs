//! TCP, address by address, as a driver would try them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Connected,
    Refused,
    TimedOut,
    Unreachable,
    Reset,
    Failed,
}

#[derive(Debug)]
pub struct Attempt {
    pub address: IpAddr,
    pub outcome: Outcome,
    pub took: Duration,
    /// The system's own words, for what has none of ours.
    pub said: String,
}

/// Stops at the first address that answers; the time that is left is shared by the addresses that are left.
pub async fn connect(
    addresses: &[IpAddr],
    port: u16,
    deadline: Instant,
) -> (Vec<Attempt>, Option<(TcpStream, SocketAddr)>) {
    let mut attempts = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        let share = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let end = started + left / share;
        let target = SocketAddr::new(*address, port);
        let result = timeout_at(end, TcpStream::connect(target)).await;
        let mut attempt = |outcome, said: String| {
            attempts.push(Attempt {
                address: *address,
                outcome,
                took: started.elapsed(),
                said,
            });
        };
        match result {
            Err(_) => attempt(Outcome::TimedOut, String::new()),
            Ok(Err(error)) => attempt(outcome(&error), error.to_string()),
            Ok(Ok(stream)) => {
                attempt(Outcome::Connected, String::new());
                // Ours are a few small messages, each of which waits for an answer.
                let _ = stream.set_nodelay(true);
                return (attempts, Some((stream, target)));
            }
        }
    }
    (attempts, None)
}

fn outcome(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::Refused,
        io::ErrorKind::TimedOut => Outcome::TimedOut,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NetworkDown => Outcome::Unreachable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Outcome::Reset,
        _ => Outcome::Failed,
    }
}
