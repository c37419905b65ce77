//! Whatever a name server answers: a chain of names that ends, or nothing.
#![no_main]

#[path = "../../src/doctor/dns_message.rs"]
mod dns_message;

const NAME: &str = "db.example.com";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some(chain) = dns_message::aliases(input, 1, NAME) {
        assert!(chain.len() <= 16);
        assert!(chain.iter().all(|name| name.len() < 64 * 255));
    }
    let text = String::from_utf8_lossy(input);
    if let Some(question) = dns_message::question(1, &text) {
        assert!(question.len() <= 512);
        assert_eq!(
            dns_message::aliases(&question, 1, &text),
            None,
            "a question is no answer"
        );
    }
    let _ = dns_message::name_server(&text);
});
