//! Fly.io: the machine's API on a Unix socket.
//! <https://fly.io/docs/security/openid-connect/>

use std::time::Duration;

use super::{Platform, Presence, audience_or_default};
use crate::error::Result;
use crate::http_call::Service;
use crate::identity_token::{IdentityToken, TokenFetch};
use crate::surroundings::{Here, Surroundings};

/// The sandbox has its socket elsewhere.
const SOCKET: &str = "PGIAM_FLY_SOCKET";
const DEFAULT_SOCKET: &str = "/.fly/api";
const TIMEOUT: Duration = Duration::from_secs(8);
const SERVICE: Service = Service {
    name: "Fly.io",
    hint: "Run on a Fly machine, as a user who may open /.fly/api.",
};

#[derive(Clone)]
pub struct Fly {
    audience: Option<String>,
}

impl Fly {
    pub fn new(audience: Option<String>) -> Self {
        Self { audience }
    }
}

impl Platform for Fly {
    fn name(&self) -> String {
        SERVICE.name.to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        surroundings.variable("FLY_APP_NAME")?;
        let socket = socket_of(surroundings);
        let because = format!("FLY_APP_NAME is set and {socket} is there");
        surroundings.exists(&socket).then(|| Presence::new(because, None))
    }

    fn fetch(&self) -> TokenFetch {
        let (audience, socket) = (audience_or_default(self.audience.clone()), socket_of(&Here));
        Box::pin(async move {
            match tokio::time::timeout(TIMEOUT, fetched(&socket, &audience)).await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(SERVICE
                    .unreachable(&format!("no answer within {} s", TIMEOUT.as_secs()))
                    .into()),
            }
        })
    }
}

fn socket_of(surroundings: &dyn Surroundings) -> String {
    surroundings
        .variable(SOCKET)
        .unwrap_or_else(|| DEFAULT_SOCKET.to_owned())
}

#[cfg(unix)]
async fn fetched(socket: &str, audience: &str) -> Result<IdentityToken> {
    use crate::http_call::Answer;
    use http_body_util::{BodyExt, Full, Limited};
    use hyper::body::Bytes;
    use hyper_util::rt::TokioIo;
    use zeroize::Zeroizing;

    const MAX_BODY: usize = 64 * 1024;

    let lost = |error: &dyn std::fmt::Display| SERVICE.unreachable(&error.to_string());
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .map_err(|error| lost(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(&error))?;
    let request = hyper::Request::post("/v1/tokens/oidc")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(format!(
            "{{\"aud\":{}}}",
            quoted(audience)
        ))))
        .map_err(|error| lost(&error))?;
    // Ends by itself when `sender` is dropped.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|error| lost(&error))?.to_bytes();
    let answer = Answer {
        status,
        body: Zeroizing::new(body.to_vec()),
    };
    answer.accepted(&SERVICE)?.token(&SERVICE)
}

#[cfg(not(unix))]
async fn fetched(_: &str, _: &str) -> Result<IdentityToken> {
    Err(SERVICE.unreachable("Fly machines have Unix sockets, this one has none"))
}

/// A JSON string.
#[cfg(unix)]
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn audiences_are_quoted() {
        assert_eq!(super::quoted("a\"b\\c\nd\u{e9}"), "\"a\\\"b\\\\c\\u000ad\u{e9}\"");
    }
}
