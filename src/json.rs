//! JSON as identity tokens and metadata services write it: read whole, never written.

use aws_smithy_json::deserialize::json_token_iter;
use aws_smithy_json::deserialize::token::expect_document;
use aws_smithy_types::Document;

pub struct Object(std::collections::HashMap<String, Document>);

impl Object {
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut tokens = json_token_iter(text).peekable();
        let document = expect_document(&mut tokens).ok()?;
        match (document, tokens.next()) {
            (Document::Object(members), None) => Some(Self(members)),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_string()
    }

    /// A text, or the texts of an array.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Document::String(text)) => vec![text.clone()],
            Some(Document::Array(items)) => items
                .iter()
                .filter_map(|item| item.as_string().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A number of seconds; a fraction is cut off.
    pub fn seconds(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Document::Number(number) => Some(number.to_f64_lossy() as i64),
            _ => None,
        }
    }

    pub fn object(&self, name: &str) -> Option<Object> {
        self.0.get(name)?.as_object().cloned().map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_objects_are_read() {
        for broken in [
            "",
            "[]",
            "1",
            "{",
            "{}x",
            "{} {}",
            "{\"a\":}",
            &format!("{{\"a\":{}", "[".repeat(9000)),
        ] {
            assert!(Object::parse(broken.as_bytes()).is_none(), "{broken:.20}");
        }
        let read =
            Object::parse(br#"{"a":"b","c":["d",1,"e"],"f":1767323045.9,"g":{"h":"\u00e9"}}"#).unwrap();
        assert_eq!(read.text("a"), Some("b"));
        assert_eq!(read.text("c"), None);
        assert_eq!(read.texts("a"), ["b"]);
        assert_eq!(read.texts("c"), ["d", "e"]);
        assert_eq!(read.seconds("f"), Some(1_767_323_045));
        assert_eq!(read.seconds("a"), None);
        assert_eq!(read.object("g").unwrap().text("h"), Some("\u{e9}"));
    }
}
