//! Credentials -> AuthToken: what RDS and Aurora DSQL take as a password. Pure: `now` is an argument.
//!
//! The canonical request is written here and not taken from aws-sigv4, whose presigner neither lower-cases
//! the host nor keeps botocore's order of parameters; key derivation and signature are aws-sigv4's.
//! Authorities: AWS, "Signature Version 4 for API requests"; botocore's `generate_db_auth_token` and
//! `SigV4QueryAuth`, to which the result is identical byte for byte.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock::Time;
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, Kind};
use crate::error::{Error, Result, shown};
use crate::secret::Secret;

const DEFAULT_EXPIRES_IN: u32 = 900;
const RDS_MAX_EXPIRES_IN: u32 = 900;
const DSQL_MAX_EXPIRES_IN: u32 = 604_800;
/// PostgreSQL cuts longer names (NAMEDATALEN - 1), and then the signed user is not the one who logs in.
const MAX_USER: usize = 63;
/// How many (day, region, service) keys are kept: a service talks to few regions, and yesterday's go.
const MAX_KEYS: usize = 16;

const ALGORITHM: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256";
const EMPTY_BODY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The presigned string, and when it stops to open a connection.
#[derive(Debug)]
pub struct AuthToken {
    pub value: Secret,
    pub expires_at: Time,
}

/// Who logs in, and for how long the token shall open connections.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub user: &'a str,
    pub expires_in: Option<u32>,
}

impl Login<'_> {
    pub fn check(&self, kind: Kind) -> Result<u32> {
        check_user(self.user)?;
        let max = match kind {
            Kind::Rds | Kind::RdsProxy => RDS_MAX_EXPIRES_IN,
            Kind::Dsql => DSQL_MAX_EXPIRES_IN,
        };
        let expires_in = self.expires_in.unwrap_or(DEFAULT_EXPIRES_IN);
        if !(1..=max).contains(&expires_in) {
            return Err(Error::configuration(
                format!("expires_in={expires_in} is out of range for {}", kind.name()),
                format!("Pass 1 to {max} seconds, or leave it out for {DEFAULT_EXPIRES_IN}."),
            ));
        }
        Ok(expires_in)
    }
}

fn check_user(user: &str) -> Result<()> {
    if user.is_empty() {
        return Err(Error::configuration(
            "user is empty",
            "Pass user=, or set PGUSER.",
        ));
    }
    if user.len() > MAX_USER {
        return Err(Error::configuration(
            format!(
                "user has {} bytes; PostgreSQL cuts names after {MAX_USER}",
                user.len()
            ),
            "Pass the database user's name as it was created.",
        ));
    }
    if user.chars().any(char::is_control) {
        return Err(Error::configuration(
            format!("user {} has control characters", shown(user)),
            "Pass the database user's name as it was created.",
        ));
    }
    Ok(())
}

/// Credentials made ready to sign: what does not change from token to token is worked out once.
pub struct Signer {
    credentials: Credentials,
    /// `&X-Amz-Security-Token=...`, or nothing.
    security_token: Zeroizing<String>,
    /// Read without a lock, so that a fork in any state leaves the child nothing to wait for.
    keys: ArcSwap<Vec<Arc<SigningKey>>>,
}

struct SigningKey {
    date: [u8; 8],
    region: String,
    service: &'static str,
    key: Zeroizing<[u8; 32]>,
}

impl Signer {
    pub fn new(credentials: Credentials) -> Self {
        let mut security_token = Zeroizing::new(String::new());
        if let Some(token) = &credentials.session_token {
            let token = token.reveal();
            // Reserved once: a growing string would leave unwiped copies behind.
            security_token.reserve_exact(22 + token.len() * 3);
            security_token.push_str("&X-Amz-Security-Token=");
            percent_encode(token, &mut security_token);
        }
        Self {
            credentials,
            security_token,
            keys: ArcSwap::default(),
        }
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub fn sign(&self, endpoint: &Endpoint, login: Login<'_>, now: Time) -> Result<AuthToken> {
        let expires_in = login.check(endpoint.kind)?;
        let service = endpoint.kind.service();
        let amz_date = now.amz_date();
        let amz_date = std::str::from_utf8(&amz_date).unwrap_or_default();
        let date = &amz_date[..8];

        // Parameters up to the place where the sorted order of the canonical request and the order in
        // which botocore emits them part: SignedHeaders and Security-Token change places.
        let security_token = self.security_token.as_str();
        let mut token = String::with_capacity(
            endpoint.token_host.len() + login.user.len() * 3 + security_token.len() + 384,
        );
        token.push_str(&endpoint.token_host);
        if endpoint.kind != Kind::Dsql {
            let _ = write!(token, ":{}", endpoint.token_port);
        }
        token.push_str("/?");
        let query_starts = token.len();
        match (endpoint.kind, login.user) {
            (Kind::Dsql, "admin") => token.push_str("Action=DbConnectAdmin"),
            (Kind::Dsql, _) => token.push_str("Action=DbConnect"),
            (Kind::Rds | Kind::RdsProxy, user) => {
                token.push_str("Action=connect&DBUser=");
                percent_encode(user, &mut token);
            }
        }
        token.push('&');
        token.push_str(ALGORITHM);
        token.push_str("&X-Amz-Credential=");
        percent_encode(&self.credentials.access_key, &mut token);
        for part in [date, &endpoint.region, service, "aws4_request"] {
            token.push_str("%2F");
            token.push_str(part);
        }
        token.push_str("&X-Amz-Date=");
        token.push_str(amz_date);
        let _ = write!(token, "&X-Amz-Expires={expires_in}");

        let mut canonical = Sha256::new();
        canonical.update(b"GET\n/\n");
        canonical.update(&token.as_bytes()[query_starts..]);
        canonical.update(security_token);
        canonical.update(b"&X-Amz-SignedHeaders=host\nhost:");
        let mut scratch = String::with_capacity(256);
        scratch.push_str(&endpoint.token_host);
        scratch.make_ascii_lowercase();
        // botocore drops the default port of https from the header, and keeps it in the text.
        if endpoint.kind != Kind::Dsql && endpoint.token_port != 443 {
            let _ = write!(scratch, ":{}", endpoint.token_port);
        }
        canonical.update(&scratch);
        canonical.update(b"\n\nhost\n");
        canonical.update(EMPTY_BODY_SHA256);

        let mut to_sign = scratch;
        to_sign.clear();
        let _ = write!(
            to_sign,
            "AWS4-HMAC-SHA256\n{amz_date}\n{date}/{}/{service}/aws4_request\n",
            endpoint.region
        );
        push_hex(&canonical.finalize(), &mut to_sign);
        let key = self.key(date, &endpoint.region, service, now);
        let signature = calculate_signature(key.key.as_slice(), to_sign.as_bytes());

        token.push_str("&X-Amz-SignedHeaders=host");
        token.push_str(security_token);
        token.push_str("&X-Amz-Signature=");
        token.push_str(&signature);

        let asked = now + Duration::from_secs(u64::from(expires_in));
        let expires_at = self.credentials.expires_at.map_or(asked, |end| asked.min(end));
        Ok(AuthToken {
            value: Secret::from(token),
            expires_at,
        })
    }

    fn key(&self, date: &str, region: &str, service: &'static str, now: Time) -> Arc<SigningKey> {
        let fits = |key: &&Arc<SigningKey>| {
            key.date == date.as_bytes() && key.service == service && key.region == region
        };
        if let Some(key) = self.keys.load().iter().find(fits) {
            return Arc::clone(key);
        }
        let secret = self.credentials.secret_key.reveal();
        let derived = generate_signing_key(secret, now.to_system(), region, service);
        let mut key = SigningKey {
            date: Default::default(),
            region: region.to_owned(),
            service,
            key: Zeroizing::new([0; 32]),
        };
        key.date.copy_from_slice(date.as_bytes());
        key.key.copy_from_slice(derived.as_ref());
        let key = Arc::new(key);
        self.keys.rcu(|keys| {
            let kept = keys
                .iter()
                .filter(|other| other.date == key.date && !fits(other))
                .take(MAX_KEYS - 1);
            kept.chain([&key]).cloned().collect::<Vec<_>>()
        });
        key
    }
}

/// RFC 3986 unreserved characters stay; every other byte becomes `%XX`.
pub(crate) fn percent_encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            continue;
        }
        // Every byte of a longer character is escaped, so a run of plain bytes is a whole string.
        if plain < index {
            out.push_str(&text[plain..index]);
        }
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
        plain = index + 1;
    }
    out.push_str(&text[plain..]);
}

fn push_hex(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests;
