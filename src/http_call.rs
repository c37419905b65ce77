//! One small HTTP request to a service that hands out identity tokens: limited in time and size, and never
//! redirected, as it may carry a bearer token.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::identity_token::IdentityToken;
use crate::json::Object;
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(8);
const ATTEMPTS: u32 = 3;
/// Identity tokens have 20000 characters at most, and the JSON around them is small.
const MAX_BODY: usize = 64 * 1024;

/// Who is asked, for error messages.
pub struct Service {
    pub name: &'static str,
    /// What to look at when it refuses.
    pub hint: &'static str,
}

pub struct Answer {
    pub status: u16,
    pub body: Zeroizing<Vec<u8>>,
}

/// Asks again after a lost connection and after 429 and 5xx.
pub async fn get(
    service: &Service,
    connector: &SharedHttpConnector,
    url: &str,
    headers: &[(&'static str, Secret)],
) -> Result<Answer> {
    let mut attempt = 1;
    loop {
        let answer = once(service, connector, url, headers).await;
        let again = match &answer {
            Ok(answer) => answer.status == 429 || answer.status >= 500,
            Err(error) => error.kind == Kind::Transport,
        };
        if !again || attempt == ATTEMPTS {
            return answer?.accepted(service);
        }
        // Full jitter: from nothing to 0.4 s, then to 0.8 s.
        let limit = Duration::from_millis(200) * 2u32.pow(attempt);
        tokio::time::sleep(limit.mul_f64(crate::random::unit())).await;
        attempt += 1;
    }
}

async fn once(
    service: &Service,
    connector: &SharedHttpConnector,
    url: &str,
    headers: &[(&'static str, Secret)],
) -> Result<Answer> {
    let not_askable = || {
        Error::new(
            Kind::IdentityToken,
            format!(
                "{} cannot be asked: its address or a header is not valid",
                service.name
            ),
            service.hint,
        )
    };
    let mut request = HttpRequest::get(url).map_err(|_| not_askable())?;
    for (name, value) in headers {
        request
            .headers_mut()
            .try_insert(*name, value.reveal().to_owned())
            .map_err(|_| not_askable())?;
    }
    match tokio::time::timeout(TIMEOUT, exchanged(connector, request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(problem)) => Err(service.unreachable(&problem)),
        Err(_) => Err(service.unreachable(&format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

async fn exchanged(connector: &SharedHttpConnector, request: HttpRequest) -> Result<Answer, String> {
    use aws_smithy_runtime_api::client::http::HttpConnector;
    let mut response = connector.call(request).await.map_err(|error| innermost(&error))?;
    let status = response.status().as_u16();
    let mut stream = ByteStream::new(std::mem::replace(response.body_mut(), SdkBody::taken()));
    let mut body = Zeroizing::new(Vec::new());
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| innermost(&error))?;
        if body.len() + part.len() > MAX_BODY {
            return Err(format!("its answer has more than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer { status, body })
}

/// The last cause says it best ("connection refused"), and holds no URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl Service {
    pub fn unreachable(&self, problem: &str) -> Error {
        Error::transport(
            format!(
                "{} could not be asked for an identity token: {problem}",
                self.name
            ),
            self.hint,
        )
    }

    pub fn refused(&self, problem: impl std::fmt::Display) -> Error {
        Error::new(
            Kind::IdentityToken,
            format!("{} gave no identity token: {problem}", self.name),
            self.hint,
        )
    }
}

impl Answer {
    pub fn accepted(self, service: &Service) -> Result<Answer> {
        match self.status {
            200..=299 => Ok(self),
            429 | 500.. => Err(service.unreachable(&format!("it answered HTTP {}", self.status))),
            status => Err(service.refused(format!("it answered HTTP {status}"))),
        }
    }

    /// The token is the whole body.
    pub fn token(&self, service: &Service) -> Result<IdentityToken> {
        let text = std::str::from_utf8(&self.body).map_err(|_| service.refused("its answer is no text"))?;
        IdentityToken::parse(text, service.name)
    }

    /// The token is a member of a JSON object.
    pub fn token_in(&self, member: &str, service: &Service) -> Result<IdentityToken> {
        let object = Object::parse(&self.body);
        match object.as_ref().and_then(|object| object.text(member)) {
            Some(text) => IdentityToken::parse(text, service.name),
            None => Err(service.refused(format!("its answer has no {member}"))),
        }
    }
}

/// A value in a query string.
pub fn query(value: &str) -> String {
    let mut out = String::new();
    crate::token::percent_encode(value, &mut out);
    out
}
