//! Whatever answers in the place of a platform's token service: an identity token, or a typed error.
#![no_main]

use std::sync::LazyLock;

use _core::oidc::{Azure, Gcp, GithubActions, Platform};
use tokio::runtime::{Builder, Runtime};

#[path = "../../tests/hardening/checks.rs"]
#[allow(dead_code, reason = "each target needs a part of it")]
mod checks;
#[path = "../impostor.rs"]
mod impostor;

struct Surroundings {
    runtime: Runtime,
    server: impostor::Impostor,
}

static HERE: LazyLock<Surroundings> = LazyLock::new(|| {
    let server = impostor::Impostor::start();
    let authority = server.url.trim_start_matches("http://");
    for (name, value) in [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", server.url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer"),
        ("GCE_METADATA_HOST", authority),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url.as_str()),
    ] {
        // SAFETY: before there is any thread that reads the environment.
        unsafe { std::env::set_var(name, value) };
    }
    Surroundings {
        runtime: Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime"),
        server,
    }
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let here = &*HERE;
    here.server.answers(input);
    let fetches = [
        GithubActions::new(None).fetch(),
        Gcp::new(None).fetch(),
        Azure::new(Some("api://app".to_owned())).fetch(),
    ];
    for fetch in fetches {
        match here.runtime.block_on(fetch) {
            Ok(token) => assert!(checks::identity_token(token.reveal())),
            Err(_core::credentials::Failure::Failed(error)) => checks::speaks_plainly(&error),
            Err(_core::credentials::Failure::Abandoned) => panic!("nobody abandoned it"),
        }
    }
});
