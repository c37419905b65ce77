//! What this process can see of where it runs, without any network: variables, and a few files.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

pub trait Surroundings {
    /// A variable's value; an empty one counts as absent.
    fn variable(&self, name: &str) -> Option<String>;

    /// The first line of a small file.
    fn first_line(&self, path: &str) -> Option<String>;

    fn exists(&self, path: &str) -> bool;

    fn is_set(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }
}

/// Reads the environment instead of `getenv`, where the program can change it at the same time.
pub static READER: OnceLock<fn(&str) -> Option<OsString>> = OnceLock::new();

/// A variable of this process, as it is.
pub fn variable(name: &str) -> Option<OsString> {
    match READER.get() {
        Some(read) => read(name),
        None => env::var_os(name),
    }
}

/// A variable's text; an empty one counts as absent.
pub fn text_of(name: &str) -> Option<String> {
    variable(name)?.into_string().ok().filter(|text| !text.is_empty())
}

/// The process's own.
pub struct Here;

impl Surroundings for Here {
    fn variable(&self, name: &str) -> Option<String> {
        text_of(name)
    }

    fn first_line(&self, path: &str) -> Option<String> {
        let mut start = [0; 256];
        let length = File::open(path).ok()?.read(&mut start).ok()?;
        let text = String::from_utf8_lossy(&start[..length]);
        Some(text.lines().next()?.trim().to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }
}

#[cfg(test)]
pub mod tests {
    use super::Surroundings;

    /// Variables, and files by their first lines.
    pub struct Elsewhere(pub Vec<(&'static str, &'static str)>);

    impl Elsewhere {
        fn find(&self, name: &str) -> Option<String> {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    impl Surroundings for Elsewhere {
        fn variable(&self, name: &str) -> Option<String> {
            self.find(name)
        }

        fn first_line(&self, path: &str) -> Option<String> {
            self.find(path)
        }

        fn exists(&self, path: &str) -> bool {
            self.find(path).is_some()
        }
    }
}
