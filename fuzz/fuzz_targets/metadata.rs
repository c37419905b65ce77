//! Whatever answers in the place of a platform's token service: an identity token, or a typed error.
#![no_main]

use std::sync::LazyLock;

use _core::oidc::{Azure, Gcp, GithubActions, Platform};

#[path = "../../tests/hardening/checks.rs"]
#[allow(dead_code, reason = "each target needs a part of it")]
mod checks;
#[path = "../impostor.rs"]
mod impostor;
use impostor::Impostor;

static SERVER: LazyLock<Impostor> = LazyLock::new(|| {
    Impostor::start(|url| {
        vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.to_owned()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer".to_owned()),
            ("GCE_METADATA_HOST", url.trim_start_matches("http://").to_owned()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.to_owned()),
        ]
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    SERVER.answers(input);
    let fetches = [
        GithubActions::new(None).fetch(),
        Gcp::new(None).fetch(),
        Azure::new(Some("api://app".to_owned())).fetch(),
    ];
    for fetch in fetches {
        match SERVER.hears(fetch) {
            Ok(token) => assert!(checks::identity_token(token.reveal())),
            Err(_core::credentials::Failure::Failed(error)) => checks::speaks_plainly(&error),
            Err(_core::credentials::Failure::Abandoned) => panic!("nobody abandoned it"),
        }
    }
});
