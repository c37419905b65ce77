//! Whatever answers in STS's place: credentials that can sign, or a typed error that shows nothing secret.
#![no_main]

use std::sync::LazyLock;

use _core::identity_token::IdentityToken;
use _core::sts;
use _core::sts::request::RoleRequest;

#[path = "../../tests/hardening/checks.rs"]
#[allow(dead_code, reason = "each target needs a part of it")]
mod checks;
#[path = "../impostor.rs"]
mod impostor;
use impostor::Impostor;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhcHAiLCJleHAiOjQwNzA5MDg4MDB9.c2lnbmF0dXJl";

struct Exchange {
    server: Impostor,
    request: RoleRequest,
    token: IdentityToken,
}

static HERE: LazyLock<Exchange> = LazyLock::new(|| Exchange {
    server: Impostor::start(|url| {
        vec![
            ("AWS_ENDPOINT_URL_STS", url.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_MAX_ATTEMPTS", "1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }),
    request: RoleRequest::new("arn:aws:iam::123456789012:role/app".to_owned()).expect("a role"),
    token: IdentityToken::parse(TOKEN, "a test").expect("a token"),
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let here = &*HERE;
    here.server.answers(input);
    let exchange = sts::assume_role_with_web_identity(&here.request, &here.token, "a test");
    match here.server.hears(exchange) {
        Ok(credentials) => {
            assert!(!credentials.access_key.is_empty() && !credentials.secret_key.reveal().is_empty());
            assert!(credentials.expires_at.is_some());
            let shown = format!("{credentials:?}");
            let secret = credentials.secret_key.reveal();
            assert!(secret.len() < 20 || !shown.contains(secret));
        }
        Err(error) => {
            checks::speaks_plainly(&error);
            assert!(!format!("{error} {error:?}").contains("c2lnbmF0dXJl"));
        }
    }
});
