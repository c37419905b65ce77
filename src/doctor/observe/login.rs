//! The login itself, how the server asks for the password, and what the session says of itself.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_rustls::client::TlsStream;

use crate::doctor::refusal::Refusal;
use crate::secret::Secret;

const PROTOCOL_3: [u8; 4] = [0, 3, 0, 0];
const APPLICATION: &str = "pgiam doctor";

#[derive(Debug)]
pub enum Trouble {
    Refused(Refusal),
    /// The connection ended without a word.
    Closed,
    TimedOut,
    Other(String),
}

/// How a server wants to be convinced: by this it says whether it treats the user as an IAM user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// As RDS, RDS Proxy and Aurora DSQL ask for an auth token.
    ClearText,
    /// A stored password.
    Scram,
    Md5,
    /// Nothing at all: the user is let in.
    Nothing,
    Other,
}

impl Demand {
    pub fn name(self) -> &'static str {
        match self {
            Demand::ClearText => "cleartext",
            Demand::Scram => "scram",
            Demand::Md5 => "md5",
            Demand::Nothing => "nothing",
            Demand::Other => "other",
        }
    }
}

pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// `stream` is verified TLS already, so nothing here asks for it.
pub async fn log_in(
    stream: TlsStream<TcpStream>,
    user: &str,
    database: &str,
    token: &Secret,
    deadline: Instant,
) -> Result<Session, Trouble> {
    let mut config = Config::new();
    config
        .user(user)
        .dbname(database)
        .password(token.reveal())
        .application_name(APPLICATION)
        .ssl_mode(SslMode::Disable);
    match timeout_at(deadline, config.connect_raw(stream, NoTls)).await {
        Err(_) => Err(Trouble::TimedOut),
        Ok(Err(error)) => Err(trouble(&error)),
        Ok(Ok((client, connection))) => Ok(Session {
            client,
            connection: tokio::spawn(async move {
                // How the connection ends is seen by the queries on it.
                let _ = connection.await;
            }),
        }),
    }
}

impl Session {
    /// The first row's columns.
    pub async fn row(&self, sql: &str, deadline: Instant) -> Result<Vec<Option<String>>, Trouble> {
        let messages = match timeout_at(deadline, self.client.simple_query(sql)).await {
            Err(_) => return Err(Trouble::TimedOut),
            Ok(Err(error)) => return Err(trouble(&error)),
            Ok(Ok(messages)) => messages,
        };
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let columns = rows.take(1).flat_map(|row| {
            (0..row.len()).map(|column| row.try_get(column).ok().flatten().map(str::to_owned))
        });
        Ok(columns.collect())
    }
}

fn trouble(error: &tokio_postgres::Error) -> Trouble {
    if let Some(said) = error.as_db_error() {
        return Trouble::Refused(Refusal {
            sqlstate: Some(said.code().code().to_owned()),
            message: said.message().to_owned(),
            hint: said.hint().map(str::to_owned),
        });
    }
    let is_io = std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    if error.is_closed() || is_io {
        return Trouble::Closed;
    }
    Trouble::Other(error.to_string())
}

/// Begins a login and hangs up as soon as the server says what it wants. No password is sent.
pub async fn demand(
    mut stream: TlsStream<TcpStream>,
    user: &str,
    database: &str,
    deadline: Instant,
) -> Option<Demand> {
    let mut body = PROTOCOL_3.to_vec();
    for text in ["user", user, "database", database, ""] {
        body.extend(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).ok()?;
    let exchange = async {
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&body).await?;
        stream.flush().await?;
        let kind = stream.read_u8().await?;
        let _length = stream.read_u32().await?;
        std::io::Result::Ok((kind, stream.read_u32().await?))
    };
    match timeout_at(deadline, exchange).await.ok()?.ok()? {
        (b'R', 0) => Some(Demand::Nothing),
        (b'R', 3) => Some(Demand::ClearText),
        (b'R', 5) => Some(Demand::Md5),
        (b'R', 10) => Some(Demand::Scram),
        (b'R', _) => Some(Demand::Other),
        _ => None,
    }
}
