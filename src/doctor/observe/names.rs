//! Addresses of a name, and what it is an alias of.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::doctor::dns_message;
use crate::random;

/// The chain is a courtesy; the addresses come from the system's own resolver.
const CHAIN_AT_MOST: Duration = Duration::from_secs(1);
const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    Unknown,
    NoAnswer,
}

#[derive(Debug)]
pub struct Names {
    pub addresses: Result<Vec<IpAddr>, (Trouble, String)>,
    /// What the name is an alias of, step by step; None if that could not be found out.
    pub chain: Option<Vec<String>>,
    pub took: Duration,
}

pub fn literal(host: &str) -> Option<IpAddr> {
    // An IPv6 zone is the system's to understand; such an address is local and no database's.
    host.parse().ok()
}

pub async fn look_up(host: &str, port: u16, server: Option<SocketAddr>, deadline: Instant) -> Names {
    let started = Instant::now();
    let asked = host.to_owned();
    let chain = tokio::spawn(async move { chain(&asked, server).await });
    Names {
        addresses: addresses(host, port, deadline).await,
        chain: chain.await.ok().flatten(),
        took: started.elapsed(),
    }
}

async fn addresses(host: &str, port: u16, deadline: Instant) -> Result<Vec<IpAddr>, (Trouble, String)> {
    match timeout_at(deadline, lookup_host((host, port))).await {
        Err(_) => Err((Trouble::NoAnswer, "no answer in time".to_owned())),
        Ok(Err(error)) => Err((trouble(&error), error.to_string())),
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address| address.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() {
                return Err((Trouble::Unknown, "the name has no address".to_owned()));
            }
            Ok(addresses)
        }
    }
}

/// The standard library hands on getaddrinfo's words, and no code.
fn trouble(error: &io::Error) -> Trouble {
    let text = error.to_string().to_lowercase();
    match ["temporary failure", "try again", "timed out"]
        .iter()
        .any(|part| text.contains(part))
    {
        true => Trouble::NoAnswer,
        false => Trouble::Unknown,
    }
}

async fn chain(host: &str, server: Option<SocketAddr>) -> Option<Vec<String>> {
    let server = match server {
        Some(server) => server,
        // A name without a dot comes from the hosts file or a search list, which a plain question passes by.
        None if !host.contains('.') => return None,
        None => {
            let text = std::fs::read_to_string(RESOLV_CONF).ok()?;
            SocketAddr::new(dns_message::name_server(&text)?, DNS_PORT)
        }
    };
    timeout(CHAIN_AT_MOST, ask(host, server)).await.ok()?
}

async fn ask(host: &str, server: SocketAddr) -> Option<Vec<String>> {
    let id = (random::unit() * 65536.0) as u16;
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(local).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&dns_message::question(id, host)?).await.ok()?;
    let mut packet = [0; 4096];
    loop {
        let length = socket.recv(&mut packet).await.ok()?;
        if let Some(chain) = dns_message::aliases(&packet[..length], id, host) {
            return Some(chain);
        }
    }
}
