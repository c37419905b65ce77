//! What this process can see of where it runs, without any network: variables, and a few files.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;

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

/// The process's own.
pub struct Here;

impl Surroundings for Here {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
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
