//! Whoever logs in, the auth token names exactly that user and nobody's parameters.
#![no_main]

use std::sync::LazyLock;

use _core::endpoint::{Address, Endpoint};

#[path = "../../tests/hardening/checks.rs"]
#[allow(dead_code, reason = "each target needs a part of it")]
mod checks;

static ENDPOINTS: LazyLock<[Endpoint; 2]> = LazyLock::new(|| {
    let hosts = [
        "shop.abc123.us-east-1.rds.amazonaws.com",
        "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws",
    ];
    hosts.map(|host| {
        let address = Address {
            host,
            ..Address::default()
        };
        Endpoint::parse(&address, || None).expect("it is one")
    })
});

libfuzzer_sys::fuzz_target!(|user: &str| {
    for endpoint in ENDPOINTS.iter() {
        checks::user(endpoint, user);
    }
});
