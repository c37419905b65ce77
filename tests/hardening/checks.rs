//! What holds whatever the input is. For `tests/mutations.rs`, and for the targets in `fuzz/`.

use std::sync::LazyLock;

use _core::clock::{ClockOffset, Time};
use _core::credentials::Credentials;
use _core::endpoint::{Address, Endpoint, Kind};
use _core::error::Error;
use _core::identity_token::IdentityToken;
use _core::secret::Secret;
use _core::token::{Login, Signer};

/// A signature that no message may show.
const SIGNATURE: &str = "c2lnbmF0dXJl";

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    Signer::new(Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: None,
        expires_at: None,
        account_id: None,
        source: "a test".to_owned(),
        region: None,
        clock_offset: ClockOffset::default(),
    })
});

/// True if it is an endpoint.
pub fn host(input: &[u8]) -> bool {
    let host = String::from_utf8_lossy(input);
    let mut address = Address {
        host: &host,
        ..Address::default()
    };
    let parsed = Endpoint::parse(&address, || Some("us-east-1".to_owned()));
    match &parsed {
        Ok(endpoint) => {
            let is_clean = |text: &str, more: &[u8]| {
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
            };
            assert!(is_clean(&endpoint.token_host, b".-_"), "{host:?}");
            assert!(is_clean(&endpoint.region, b"-"), "{host:?}");
            // What it came to is a host that comes to the same.
            let again = Address {
                host: &endpoint.token_host,
                ..Address::default()
            };
            let again = Endpoint::parse(&again, || None).expect("it was an endpoint before");
            assert_eq!(
                (again.kind, &again.region),
                (endpoint.kind, &endpoint.region),
                "{host:?}"
            );
            user(endpoint, &host);
        }
        Err(error) => speaks_plainly(error),
    }
    address.token_host = Some(&host);
    address.host = "127.0.0.1";
    if let Err(error) = Endpoint::parse(&address, || None) {
        speaks_plainly(&error);
    }
    parsed.is_ok()
}

/// No user adds a parameter to an auth token, and the database reads the very name. True if there is one.
pub fn user(endpoint: &Endpoint, name: &str) -> bool {
    let login = Login {
        user: name,
        expires_in: None,
    };
    let token = match SIGNER.sign(endpoint, login, Time::from_secs(1_767_323_045)) {
        Ok(token) => token.value,
        Err(error) => {
            speaks_plainly(&error);
            return false;
        }
    };
    // DSQL's tokens name no user.
    let (parameters, named) = if endpoint.kind == Kind::Dsql {
        (6, 0)
    } else {
        (7, 1)
    };
    assert_eq!(token.reveal().matches('&').count(), parameters, "{name:?}");
    assert!(token.reveal().bytes().all(|b| b.is_ascii_graphic()), "{name:?}");
    let users: Vec<&str> = token
        .reveal()
        .split('&')
        .filter_map(|parameter| parameter.strip_prefix("DBUser="))
        .collect();
    assert_eq!(users.len(), named, "{name:?}");
    assert!(users.iter().all(|user| percent_decoded(user) == name.as_bytes()));
    true
}

/// In the place of the claims, and as the token itself. Counts those that were read.
pub fn claims(input: &[u8]) -> usize {
    let part = |bytes: &[u8]| {
        let encoded = aws_smithy_types::base64::encode(bytes);
        encoded.trim_end_matches('=').replace('+', "-").replace('/', "_")
    };
    let token = format!("{}.{}.{SIGNATURE}", part(br#"{"alg":"RS256"}"#), part(input));
    let tokens = [
        String::from_utf8_lossy(input).replace(':', "."),
        format!("{}{}", &token[1..], token.len()),
        token,
    ];
    tokens.iter().filter(|token| identity_token(token)).count()
}

/// True if it is one.
pub fn identity_token(token: &str) -> bool {
    match IdentityToken::parse(token, "a test") {
        Ok(parsed) => {
            assert_eq!(parsed.reveal(), token.trim());
            let shown = parsed.claims.to_string();
            assert!(shown.len() < 2000 && is_printable(&shown), "{shown:?}");
            assert!(!format!("{parsed:?}").contains(SIGNATURE));
            let _ = parsed.claims.provider();
            let _ = parsed.is_alive(Time::from_secs(0));
            true
        }
        Err(error) => {
            assert!(!error.message.contains(SIGNATURE));
            speaks_plainly(&error);
            false
        }
    }
}

/// An error of few words, all of them visible, that says what to do.
pub fn speaks_plainly(error: &Error) {
    assert!(!error.hint.is_empty());
    assert!(error.message.len() + error.hint.len() < 2500, "{error}");
    assert!(
        is_printable(&error.message) && is_printable(&error.hint),
        "{error:?}"
    );
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && c != '\u{202e}')
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("two digits follow"));
                let digits = std::str::from_utf8(&digits).expect("it is ASCII");
                u8::from_str_radix(digits, 16).expect("they are hexadecimal")
            }
            byte => byte,
        });
    }
    decoded
}
