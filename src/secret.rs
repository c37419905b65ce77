//! A secret is a type: it cannot be printed, is wiped when dropped, and has one loud exit, `reveal`.

use std::fmt;

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::from(value.to_owned())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // One memset and a barrier: `Zeroizing` writes byte by byte, which for an auth token takes as long
        // as half of the signature.
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        zeroize::optimization_barrier(bytes.as_slice());
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::from("hunter2"))), "Some(<secret>)");
    }
}
