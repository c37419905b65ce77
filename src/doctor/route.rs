//! The way to the server, as a task of its own: DNS, then TCP, then TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::certificate;
use super::conclude::{tls as tls_stage, way};
use super::diagnosis::Diagnosis;
use super::observe::names::{self, Names};
use super::observe::tcp::{self, Attempt};
use super::observe::tls::{self, Roots, Seen, Trouble};
use super::situation::Situation;
use crate::clock::Time;

type Stream = TlsStream<TcpStream>;

pub enum Step {
    /// The host is an address itself.
    Literal(IpAddr),
    Named(Names),
    Dialled(Vec<Attempt>),
    Encrypted(Box<Encrypted>),
}

pub struct Encrypted {
    seen: Seen,
    result: Result<(Stream, SocketAddr), Trouble>,
    direct: Option<bool>,
    roots: Option<Arc<Roots>>,
    host: String,
}

/// A verified connection on which nothing has been said.
pub struct Arrived {
    pub stream: Stream,
    pub tls_version: Option<&'static str>,
    pub chain: Option<Vec<String>>,
    /// Those in the server's certificate.
    pub names: Vec<String>,
    pub again: Again,
}

/// The same connection, once more.
pub struct Again {
    target: SocketAddr,
    host: String,
    roots: Arc<Roots>,
}

impl Again {
    pub async fn connect(&self, deadline: Instant) -> Option<Stream> {
        let (_, connected) = tcp::connect(&[self.target.ip()], self.target.port(), deadline).await;
        let (stream, _) = connected?;
        tls::handshake(stream, &self.host, &self.roots, false, deadline)
            .await
            .1
            .ok()
    }
}

pub struct Route {
    steps: UnboundedReceiver<Step>,
    task: JoinHandle<()>,
}

impl Drop for Route {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Route {
    pub fn begin(
        host: String,
        port: u16,
        ca_file: String,
        name_server: Option<SocketAddr>,
        deadline: Instant,
    ) -> Self {
        let (sender, steps) = unbounded_channel();
        let task = tokio::spawn(walk(host, port, ca_file, name_server, deadline, sender));
        Self { steps, task }
    }

    pub async fn next(&mut self) -> Option<Step> {
        self.steps.recv().await
    }
}

async fn walk(
    host: String,
    port: u16,
    ca_file: String,
    name_server: Option<SocketAddr>,
    deadline: Instant,
    steps: UnboundedSender<Step>,
) {
    // A receiver that has gone takes this task with it.
    let tell = |step: Step| drop(steps.send(step));
    let addresses = match names::literal(&host) {
        Some(address) => {
            tell(Step::Literal(address));
            vec![address]
        }
        None => {
            let names = names::look_up(&host, port, name_server, deadline).await;
            let addresses = names.addresses.as_ref().cloned().unwrap_or_default();
            tell(Step::Named(names));
            addresses
        }
    };
    if addresses.is_empty() {
        return;
    }
    let (attempts, connected) = tcp::connect(&addresses, port, deadline).await;
    let is_reset = attempts
        .last()
        .is_some_and(|last| last.outcome == tcp::Outcome::Reset);
    tell(Step::Dialled(attempts));
    let Some((stream, target)) = connected else {
        // Whether the reset comes before or after the first byte is chance.
        if is_reset {
            tell(Step::Encrypted(Box::new(Encrypted::reset(host))));
        }
        return;
    };
    let pem = std::fs::read(&ca_file).map_err(|error| format!("{}: {error}", crate::error::shown(&ca_file)));
    let encrypted = match pem.and_then(|pem| tls::roots(&pem)) {
        Err(problem) => Encrypted {
            seen: Seen::default(),
            result: Err(Trouble::TrustFile(problem)),
            direct: None,
            roots: None,
            host,
        },
        Ok(roots) => {
            let (seen, result) = tls::handshake(stream, &host, &roots, false, deadline).await;
            let direct = match &result {
                Ok(_) => Some(takes_direct_tls(target, &host, &roots, deadline).await),
                Err(_) => None,
            };
            Encrypted {
                seen,
                result: result.map(|stream| (stream, target)),
                direct,
                roots: Some(Arc::new(roots)),
                host,
            }
        }
    };
    tell(Step::Encrypted(Box::new(encrypted)));
}

async fn takes_direct_tls(target: SocketAddr, host: &str, roots: &Roots, deadline: Instant) -> bool {
    let (_, connected) = tcp::connect(&[target.ip()], target.port(), deadline).await;
    match connected {
        None => false,
        Some((stream, _)) => tls::handshake(stream, host, roots, true, deadline)
            .await
            .1
            .is_ok(),
    }
}

impl Step {
    pub fn concluded(self, known: &Situation, now: Time) -> (Diagnosis, Option<Arrived>) {
        match self {
            Step::Literal(address) => (way::literal(address), None),
            Step::Named(names) => (way::names(&names, known), None),
            Step::Dialled(attempts) => (way::tcp(&attempts, known), None),
            Step::Encrypted(encrypted) => encrypted.concluded(known, now),
        }
    }
}

impl Encrypted {
    fn reset(host: String) -> Self {
        Self {
            seen: Seen::default(),
            result: Err(Trouble::ResetBefore),
            direct: None,
            roots: None,
            host,
        }
    }

    fn concluded(self, known: &Situation, now: Time) -> (Diagnosis, Option<Arrived>) {
        let verdict = self.result.as_ref().map(|_| ());
        let store = self.roots.as_ref().map(|roots| &roots.store);
        let diagnosis = tls_stage::tls(&self.seen, verdict, store, self.direct, known, now);
        let leaf = self.seen.chain.first().and_then(certificate::summary);
        let names = leaf.map(|leaf| leaf.names).unwrap_or_default();
        let arrived = self
            .result
            .ok()
            .zip(self.roots)
            .map(|((stream, target), roots)| Arrived {
                stream,
                tls_version: self.seen.version,
                chain: None,
                names,
                again: Again {
                    target,
                    host: self.host,
                    roots,
                },
            });
        (diagnosis, arrived)
    }
}
