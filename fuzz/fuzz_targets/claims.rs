#![no_main]

#[path = "../../tests/hardening/checks.rs"]
#[allow(dead_code, reason = "each target needs a part of it")]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::claims(input);
});
