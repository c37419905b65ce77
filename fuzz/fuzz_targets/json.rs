//! What identity tokens and metadata services write, read twice: the same both times.
#![no_main]

#[path = "../../src/json.rs"]
mod json;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (Some(first), Some(again)) = (json::Object::parse(input), json::Object::parse(input)) else {
        return;
    };
    for name in ["iss", "aud", "exp", "value", "kubernetes.io"] {
        assert_eq!(first.text(name), again.text(name));
        assert_eq!(first.texts(name), again.texts(name));
        assert_eq!(first.seconds(name), again.seconds(name));
        assert_eq!(first.object(name).is_some(), again.object(name).is_some());
    }
});
