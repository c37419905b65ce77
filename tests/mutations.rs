//! Inputs made from good ones, changed in a few places: a value or a typed error, and never a panic. The same for
//! the same seed; `MUTATIONS=1000000 SEED=7 cargo test --release --test mutations` looks further than CI does.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use _core::clock::{ClockOffset, Time};
use _core::credentials::Credentials;
use _core::endpoint::{Address, Endpoint, Kind};
use _core::identity_token::IdentityToken;
use _core::secret::Secret;
use _core::token::{Login, Signer};

const PIECES: [&[u8]; 14] = [
    b"\0",
    b"\xff",
    b"%",
    b"..",
    b":",
    b"@",
    b"/?",
    b"&",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\\u0000",
    b"[[[[[[[[",
    b"1e999",
    b"rds.amazonaws.com",
];

struct Chance(u64);

impl Chance {
    /// xorshift64*
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
    })
}

fn each_mutation(corpus: &str, mut check: impl FnMut(&[u8])) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hardening/corpus")
        .join(corpus);
    let lines: Vec<Vec<u8>> = fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| line.into())
        .collect();
    assert!(lines.len() > 5);
    for line in &lines {
        check(line);
    }
    let mut chance = Chance(number("SEED", 0x9E37_79B9_7F4A_7C15));
    for _ in 0..number("MUTATIONS", 20_000) {
        let mut input = lines[chance.below(lines.len())].clone();
        for _ in 0..=chance.below(5) {
            change(&mut input, &lines, &mut chance);
        }
        check(&input);
    }
}

fn change(input: &mut Vec<u8>, lines: &[Vec<u8>], chance: &mut Chance) {
    let start = chance.below(input.len() + 1);
    let end = (start + [1, 2, 8, 40][chance.below(4)]).min(input.len());
    match chance.below(6) {
        0 => drop(input.drain(start..end)),
        1 => drop(input.splice(start..start, PIECES[chance.below(PIECES.len())].iter().copied())),
        2 => drop(input.splice(start..end, PIECES[chance.below(PIECES.len())].iter().copied())),
        3 => {
            let again = input[start..end].repeat([1, 2, 50][chance.below(3)]);
            drop(input.splice(start..start, again));
        }
        4 => {
            let other = &lines[chance.below(lines.len())];
            let from = chance.below(other.len() + 1);
            let to = (from + [4, 16, 200][chance.below(3)]).min(other.len());
            drop(input.splice(start..end, other[from..to].iter().copied()));
        }
        _ => {
            if let Some(byte) = input.get_mut(start) {
                *byte ^= 1 << chance.below(8);
            }
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && c != '\u{202e}')
}

#[test]
fn a_host_is_an_endpoint_or_a_typed_error() {
    let keys = Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: None,
        expires_at: None,
        account_id: None,
        source: "a test".to_owned(),
        region: None,
        clock_offset: ClockOffset::default(),
    };
    let signer = Signer::new(keys);
    let (mut read, mut refused) = (0, 0);
    each_mutation("endpoint/hosts.txt", |input| {
        let host = String::from_utf8_lossy(input);
        let mut address = Address {
            host: &host,
            ..Address::default()
        };
        match Endpoint::parse(&address, || Some("us-east-1".to_owned())) {
            Ok(endpoint) => {
                read += 1;
                assert!(
                    endpoint
                        .token_host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)),
                    "{host:?}"
                );
                assert!(
                    endpoint
                        .region
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                    "{host:?}"
                );
                // What it came to is a host that comes to the same.
                let again = Address {
                    host: &endpoint.token_host,
                    ..Address::default()
                };
                let again = Endpoint::parse(&again, || None).unwrap();
                assert_eq!(
                    (again.kind, &again.region),
                    (endpoint.kind, &endpoint.region),
                    "{host:?}"
                );
                let login = Login {
                    user: &host,
                    expires_in: None,
                };
                if let Ok(token) = signer.sign(&endpoint, login, Time::from_secs(1_767_323_045)) {
                    // No host or user adds a parameter. DSQL's tokens name no user.
                    let parameters = if endpoint.kind == Kind::Dsql { 6 } else { 7 };
                    assert_eq!(token.value.reveal().matches('&').count(), parameters, "{host:?}");
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.hint.is_empty());
                assert!(
                    error.message.len() + error.hint.len() < 1500 && is_printable(&error.message),
                    "{error}"
                );
            }
        }
        address.token_host = Some(&host);
        address.host = "127.0.0.1";
        if let Err(error) = Endpoint::parse(&address, || None) {
            assert!(
                error.message.len() + error.hint.len() < 1500 && is_printable(&error.message),
                "{error}"
            );
        }
    });
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

#[test]
fn claims_are_read_or_a_typed_error() {
    let (mut read, mut refused) = (0, 0);
    let mut check = |token: &str| match IdentityToken::parse(token, "a test") {
        Ok(parsed) => {
            read += 1;
            assert_eq!(parsed.reveal(), token.trim());
            let shown = parsed.claims.to_string();
            assert!(shown.len() < 2000 && is_printable(&shown), "{shown:?}");
            assert!(!format!("{parsed:?}").contains("c2lnbmF0dXJl"));
            let _ = parsed.claims.provider();
            let _ = parsed.is_alive(Time::from_secs(0));
        }
        Err(error) => {
            refused += 1;
            assert!(
                !error.message.contains("c2lnbmF0dXJl") && is_printable(&error.message),
                "{error}"
            );
        }
    };
    each_mutation("claims/claims.txt", |claims| {
        let part = |bytes: &[u8]| {
            let encoded = aws_smithy_types::base64::encode(bytes);
            encoded.trim_end_matches('=').replace('+', "-").replace('/', "_")
        };
        let token = format!("{}.{}.c2lnbmF0dXJl", part(br#"{"alg":"RS256"}"#), part(claims));
        check(&token);
        // And the token itself, rather than what is in it.
        check(&String::from_utf8_lossy(claims).replace(':', "."));
        check(&format!("{}{}", &token[1..], token.len()));
    });
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}
